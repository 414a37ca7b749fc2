// Plays samples while they still arrive, without gaps.
import { signal } from "@preact/signals";
import { analyser, bus, takeOver } from "./bus";
import type { Transport } from "./transport";

/** Seconds between a start and the first sample, to schedule in peace. */
const lead = 0.03;

interface Chunk {
  start: number; // frame
  samples: Float32Array<ArrayBuffer>;
}

export class StreamPlayer implements Transport {
  readonly playing = signal(false);
  readonly duration = signal(0);
  /** How often the samples did not arrive in time. */
  readonly stalls = signal(0);
  private readonly chunks: Chunk[] = [];
  private frames = 0;
  private complete = false;
  private position = 0; // seconds, while it does not play
  private origin = 0; // context time of frame 0, while it plays
  private sources = new Set<AudioBufferSourceNode>();

  constructor(readonly rate: number) {}

  /** All samples, if they came as one. */
  static of(samples: Float32Array<ArrayBuffer>, rate: number): StreamPlayer {
    const player = new StreamPlayer(rate);
    player.append(samples);
    player.finish();
    return player;
  }

  append(samples: Float32Array<ArrayBuffer>): void {
    if (samples.length === 0) return;
    const chunk = { start: this.frames, samples };
    this.chunks.push(chunk);
    this.frames += samples.length;
    this.duration.value = this.frames / this.rate;
    if (!this.playing.value) return;
    const { context } = bus(this.rate);
    const due = this.origin + chunk.start / this.rate;
    if (due < context.currentTime) {
      // It came late: silence until now, then go on where it stopped.
      this.stalls.value += 1;
      this.origin += context.currentTime + lead - due;
    }
    this.schedule(chunk, 0);
  }

  /** No more samples will come. */
  finish(): void {
    this.complete = true;
    if (this.sources.size === 0) this.ended();
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
    if (this.complete && this.position >= this.duration.value - 0.02) this.position = 0;
    // On a whole frame, so that the chunks meet exactly.
    const now = Math.ceil((context.currentTime + lead) * this.rate) / this.rate;
    const from = Math.round(this.position * this.rate);
    this.origin = now - from / this.rate;
    this.playing.value = true;
    for (const chunk of this.chunks) {
      const skip = Math.max(0, from - chunk.start);
      if (skip < chunk.samples.length) this.schedule(chunk, skip);
    }
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

  private schedule(chunk: Chunk, skip: number): void {
    const { context, input } = bus(this.rate);
    const buffer = context.createBuffer(1, chunk.samples.length, this.rate);
    buffer.copyToChannel(chunk.samples, 0);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(input);
    source.start(this.origin + (chunk.start + skip) / this.rate, skip / this.rate);
    this.sources.add(source);
    source.onended = () => {
      if (this.sources.delete(source) && this.sources.size === 0 && this.complete) this.ended();
    };
  }

  private silence(): void {
    const sources = this.sources;
    this.sources = new Set();
    for (const source of sources) source.stop();
  }

  private ended(): void {
    if (!this.playing.value) return;
    this.position = this.duration.value;
    this.playing.value = false;
  }
}
