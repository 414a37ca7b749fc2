// Plays samples while they still arrive, without gaps.
import { signal } from "@preact/signals";
import { bus } from "./bus";
import { lead, SamplePlayer } from "./sample-player";

interface Chunk {
  start: number; // frame
  samples: Float32Array<ArrayBuffer>;
}

export class StreamPlayer extends SamplePlayer {
  /** How often the samples did not arrive in time. */
  readonly stalls = signal(0);
  private readonly chunks: Chunk[] = [];
  private frames = 0;
  private complete = false;
  private sources = new Set<AudioBufferSourceNode>();

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

  protected override isAtEnd(): boolean {
    return this.complete && super.isAtEnd();
  }

  protected begin(frame: number): void {
    for (const chunk of this.chunks) {
      const skip = Math.max(0, frame - chunk.start);
      if (skip < chunk.samples.length) this.schedule(chunk, skip);
    }
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

  protected silence(): void {
    const sources = this.sources;
    this.sources = new Set();
    for (const source of sources) source.stop();
  }
}
