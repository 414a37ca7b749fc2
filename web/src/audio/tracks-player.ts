// Plays one of several aligned tracks and switches between them in mid-sound.
import { effect, signal } from "@preact/signals";
import { analyser, bus, takeOver } from "./bus";
import type { Transport } from "./transport";

/** Seconds in which one track fades into another. */
const fade = 0.012;

export class TracksPlayer implements Transport {
  readonly playing = signal(false);
  readonly duration = signal(0);
  /** The track that is heard. */
  readonly heard = signal(0);
  private position = 0;
  private origin = 0;
  private sources: AudioBufferSourceNode[] = [];
  private readonly gains: GainNode[];
  private readonly stopFollowing: () => void;

  constructor(
    private readonly tracks: Float32Array<ArrayBuffer>[],
    private readonly rate: number,
  ) {
    const { context, input } = bus(rate);
    this.duration.value = Math.max(...tracks.map((track) => track.length)) / rate;
    this.gains = tracks.map(() => {
      const gain = context.createGain();
      gain.connect(input);
      return gain;
    });
    this.stopFollowing = effect(() => {
      this.gains.forEach((gain, index) =>
        gain.gain.setTargetAtTime(index === this.heard.value ? 1 : 0, context.currentTime, fade / 3),
      );
    });
  }

  time(): number {
    if (!this.playing.value) return this.position;
    const { context } = bus(this.rate);
    return Math.max(0, Math.min(context.currentTime - this.origin, this.duration.value));
  }

  play(): void {
    if (this.playing.value) return;
    takeOver(this);
    const { context, tap } = bus(this.rate);
    void context.resume();
    analyser.value = tap;
    if (this.position >= this.duration.value - 0.02) this.position = 0;
    const at = context.currentTime + 0.03;
    this.origin = at - this.position;
    this.sources = this.tracks.map((track, index) => {
      const buffer = context.createBuffer(1, Math.max(1, track.length), this.rate);
      buffer.copyToChannel(track, 0);
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(this.gains[index]!);
      source.start(at, this.position);
      return source;
    });
    const longest = this.sources.reduce((a, b) =>
      a.buffer!.length >= b.buffer!.length ? a : b,
    );
    longest.onended = () => {
      if (!this.sources.includes(longest)) return;
      this.position = this.duration.value;
      this.playing.value = false;
      this.sources = [];
    };
    this.playing.value = true;
  }

  pause(): void {
    if (!this.playing.value) return;
    this.position = this.time();
    this.playing.value = false;
    const sources = this.sources;
    this.sources = [];
    sources.forEach((source) => source.stop());
  }

  /** Frees the tracks. */
  close(): void {
    this.pause();
    this.stopFollowing();
    this.gains.forEach((gain) => gain.disconnect());
  }

  seek(seconds: number): void {
    const playing = this.playing.value;
    this.pause();
    this.position = Math.max(0, Math.min(seconds, this.duration.value));
    if (playing) this.play();
  }
}
