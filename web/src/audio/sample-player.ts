// What players of samples share: where they are. That is a position while they
// rest, and the context's clock since frame 0 while they play.
import { signal } from "@preact/signals";
import { analyser, bus, takeOver } from "./bus";
import type { Transport } from "./transport";

/** Seconds between a start and the first sample, to schedule in peace. */
export const lead = 0.03;
/** Seconds before the end that count as the end. */
const nearly = 0.02;

export abstract class SamplePlayer implements Transport {
  readonly playing = signal(false);
  readonly duration = signal(0);
  /** Context time of frame 0, while it plays. */
  protected origin = 0;
  private position = 0; // seconds, while it does not play

  constructor(readonly rate: number) {}

  /** Lets what there is sound, from this frame on. */
  protected abstract begin(frame: number): void;
  /** Stops all that sounds. */
  protected abstract silence(): void;

  /** Whether nothing follows the position. */
  protected isAtEnd(): boolean {
    return this.position >= this.duration.value - nearly;
  }

  time(): number {
    if (!this.playing.value) return this.position;
    const { context } = bus(this.rate);
    const now = context.currentTime - (context.outputLatency || 0) - this.origin;
    return Math.max(0, Math.min(now, this.duration.value));
  }

  play(): void {
    if (this.playing.value) return;
    takeOver(this);
    const { context, tap } = bus(this.rate);
    void context.resume();
    analyser.value = tap;
    if (this.isAtEnd()) this.position = 0;
    // On a whole frame, so that pieces meet exactly.
    const now = Math.ceil((context.currentTime + lead) * this.rate) / this.rate;
    const from = Math.round(this.position * this.rate);
    this.origin = now - from / this.rate;
    this.playing.value = true;
    this.begin(from);
  }

  pause(): void {
    if (!this.playing.value) return;
    this.position = this.time();
    this.playing.value = false;
    this.silence();
  }

  seek(seconds: number): void {
    const playing = this.playing.value;
    this.pause();
    this.position = Math.max(0, Math.min(seconds, this.duration.value));
    if (playing) this.play();
  }

  /** Everything has been heard. */
  protected ended(): void {
    if (!this.playing.value) return;
    this.position = this.duration.value;
    this.playing.value = false;
  }
}
