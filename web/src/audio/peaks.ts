// Extremes of blocks of samples, so that a waveform of any length draws fast.

export const blockSize = 256; // samples

export class Peaks {
  private low = new Float32Array(1024);
  private high = new Float32Array(1024);
  private blocks = 0; // whole ones
  private frames = 0;
  private highest = 0;

  static of(samples: Float32Array): Peaks {
    const peaks = new Peaks();
    peaks.append(samples);
    return peaks;
  }

  get length(): number {
    return this.frames;
  }

  /** The largest absolute sample. */
  get loudest(): number {
    return this.highest;
  }

  append(samples: Float32Array): void {
    for (const sample of samples) {
      const block = Math.floor(this.frames / blockSize);
      if (this.frames % blockSize === 0) {
        this.reserve(block + 1);
        this.low[block] = this.high[block] = sample;
        this.blocks = block + 1;
      } else if (sample < this.low[block]!) {
        this.low[block] = sample;
      } else if (sample > this.high[block]!) {
        this.high[block] = sample;
      }
      ++this.frames;
    }
    for (let i = Math.max(0, this.blocks - Math.ceil(samples.length / blockSize) - 1); i < this.blocks; ++i) {
      this.highest = Math.max(this.highest, -this.low[i]!, this.high[i]!);
    }
  }

  /** Largest absolute sample of a stretch of frames. */
  magnitude(from: number, to: number): number {
    let most = 0;
    const first = Math.max(0, Math.floor(from / blockSize));
    const last = Math.min(this.blocks, Math.max(first + 1, Math.ceil(to / blockSize)));
    for (let i = first; i < last; ++i) most = Math.max(most, -this.low[i]!, this.high[i]!);
    return most;
  }

  private reserve(blocks: number): void {
    if (blocks <= this.low.length) return;
    for (const side of ["low", "high"] as const) {
      const more = new Float32Array(2 * this[side].length);
      more.set(this[side]);
      this[side] = more;
    }
  }
}
