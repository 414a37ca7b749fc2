// Plays a recording of any length through the browser's own decoder.
import { signal } from "@preact/signals";
import { analyser, bus, takeOver } from "./bus";
import type { Transport } from "./transport";

const rate = 48000;

export class MediaPlayer implements Transport {
  readonly playing = signal(false);
  readonly duration = signal(0);
  private readonly element = new Audio();
  private readonly url: string;
  private connected = false;

  constructor(recording: Blob) {
    this.url = URL.createObjectURL(recording);
    const { element } = this;
    element.preload = "metadata";
    element.src = this.url;
    element.onplaying = () => (this.playing.value = true);
    element.onpause = element.onended = () => (this.playing.value = false);
    element.ondurationchange = () => {
      if (Number.isFinite(element.duration)) this.duration.value = element.duration;
    };
  }

  time(): number {
    return this.element.currentTime;
  }

  play(): void {
    takeOver(this);
    const { context, input, tap } = bus(rate);
    if (!this.connected) context.createMediaElementSource(this.element).connect(input);
    this.connected = true;
    void context.resume();
    analyser.value = tap;
    this.element.play().catch(() => (this.playing.value = false));
  }

  pause(): void {
    this.element.pause();
  }

  seek(seconds: number): void {
    this.element.currentTime = seconds;
  }

  /** Frees the recording. */
  close(): void {
    this.pause();
    this.element.removeAttribute("src");
    URL.revokeObjectURL(this.url);
  }
}
