// Plays one of several aligned tracks and switches between them in mid-sound.
import { effect, signal } from "@preact/signals";
import { bus } from "./bus";
import { SamplePlayer } from "./sample-player";

/** Seconds in which one track fades into another. */
const fade = 0.012;

export class TracksPlayer extends SamplePlayer {
  /** The track that is heard. */
  readonly heard = signal(0);
  private sources: AudioBufferSourceNode[] = [];
  private readonly gains: GainNode[];
  private readonly stopFollowing: () => void;

  constructor(
    private readonly tracks: Float32Array<ArrayBuffer>[],
    rate: number,
  ) {
    super(rate);
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

  protected begin(frame: number): void {
    const { context } = bus(this.rate);
    const position = frame / this.rate;
    this.sources = this.tracks.map((track, index) => {
      const buffer = context.createBuffer(1, Math.max(1, track.length), this.rate);
      buffer.copyToChannel(track, 0);
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(this.gains[index]!);
      source.start(this.origin + position, position);
      return source;
    });
    const longest = this.sources.reduce((a, b) =>
      a.buffer!.length >= b.buffer!.length ? a : b,
    );
    longest.onended = () => {
      if (!this.sources.includes(longest)) return;
      this.sources = [];
      this.ended();
    };
  }

  protected silence(): void {
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
}
