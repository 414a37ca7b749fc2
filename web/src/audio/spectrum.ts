// A spectrogram that grows with its samples.

export const bands = 96;
const size = 1024; // samples of a window
const hop = 512;
const floorDb = -85;
const topDb = -18;

const hann = Float32Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
const cosines = Float32Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
const sines = Float32Array.from({ length: size / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / size));

/** In place, radix 2. */
function fft(re: Float32Array, im: Float32Array): void {
  for (let i = 1, j = 0; i < size; ++i) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j]!, re[i]!];
      [im[i], im[j]] = [im[j]!, im[i]!];
    }
  }
  for (let span = 2; span <= size; span <<= 1) {
    const half = span >> 1;
    const stride = size / span;
    for (let start = 0; start < size; start += span) {
      for (let k = 0; k < half; ++k) {
        const c = cosines[k * stride]!;
        const s = -sines[k * stride]!;
        const a = start + k;
        const b = a + half;
        const x = re[b]! * c - im[b]! * s;
        const y = re[b]! * s + im[b]! * c;
        re[b] = re[a]! - x;
        im[b] = im[a]! - y;
        re[a] = re[a]! + x;
        im[a] = im[a]! + y;
      }
    }
  }
}

const mel = (hz: number) => 2595 * Math.log10(1 + hz / 700);
const fromMel = (m: number) => 700 * (10 ** (m / 2595) - 1);

export class Spectrum {
  /** Columns of `bands` values of 0..255, low frequencies first. */
  readonly columns: Uint8Array[] = [];
  private readonly edges: number[]; // first FFT bin of each band
  private rest = new Float32Array(0);

  constructor(rate: number) {
    const top = mel(rate / 2);
    this.edges = Array.from({ length: bands + 1 }, (_, i) =>
      Math.round((fromMel((top * i) / bands) / rate) * size),
    );
  }

  static of(samples: Float32Array, rate: number): Spectrum {
    const spectrum = new Spectrum(rate);
    spectrum.append(samples);
    return spectrum;
  }

  append(samples: Float32Array): void {
    const all = new Float32Array(this.rest.length + samples.length);
    all.set(this.rest);
    all.set(samples, this.rest.length);
    let at = 0;
    for (; at + size <= all.length; at += hop) this.columns.push(this.column(all, at));
    this.rest = all.slice(at);
  }

  private column(samples: Float32Array, at: number): Uint8Array {
    const re = new Float32Array(size);
    const im = new Float32Array(size);
    for (let i = 0; i < size; ++i) re[i] = samples[at + i]! * hann[i]!;
    fft(re, im);
    const out = new Uint8Array(bands);
    for (let band = 0; band < bands; ++band) {
      const from = this.edges[band]!;
      const to = Math.max(from + 1, this.edges[band + 1]!);
      let power = 0;
      for (let k = from; k < to; ++k) power = Math.max(power, re[k]! ** 2 + im[k]! ** 2);
      const db = 10 * Math.log10(power + 1e-12) - 20 * Math.log10(size / 4);
      out[band] = Math.max(0, Math.min(255, ((db - floorDb) / (topDb - floorDb)) * 255));
    }
    return out;
  }
}
