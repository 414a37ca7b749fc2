import { describe, expect, it } from "vitest";
import { base64FromBytes, concat, int16FromSamples, samplesFromInt16, wavFile } from "../../src/audio/pcm";
import { Peaks } from "../../src/audio/peaks";
import { bands, Spectrum } from "../../src/audio/spectrum";

const tone = (hz: number, seconds: number, rate: number, level = 0.5) =>
  Float32Array.from({ length: seconds * rate }, (_, i) => level * Math.sin((2 * Math.PI * hz * i) / rate));

describe("pcm", () => {
  it("joins samples that are split between two pieces", () => {
    const samples = Float32Array.of(0, 0.5, -0.5, -1);
    const bytes = new Uint8Array(int16FromSamples(samples).buffer);
    const first = samplesFromInt16(new Uint8Array(0), base64FromBytes(bytes.slice(0, 3)));
    const second = samplesFromInt16(first.rest, base64FromBytes(bytes.slice(3)));
    expect([...first.samples, ...second.samples]).toEqual([...samples]);
    expect(second.rest.length).toBe(0);
  });

  it("clips", () => {
    expect([...int16FromSamples(Float32Array.of(2, -2))]).toEqual([32767, -32768]);
  });

  it("writes a WAV file", async () => {
    const bytes = new DataView(await wavFile(Float32Array.of(0, 0.25), 24000).arrayBuffer());
    expect(bytes.byteLength).toBe(48);
    expect(bytes.getUint32(24, true)).toBe(24000);
    expect(bytes.getUint32(40, true)).toBe(4);
    expect(bytes.getInt16(46, true)).toBe(8192);
  });

  it("concatenates", () => {
    expect([...concat([Float32Array.of(1), Float32Array.of(2, 3)])]).toEqual([1, 2, 3]);
  });
});

describe("Peaks", () => {
  it("is the same in pieces as at once", () => {
    const samples = tone(100, 1, 24000);
    const whole = Peaks.of(samples);
    const pieces = new Peaks();
    for (let i = 0; i < samples.length; i += 1000) pieces.append(samples.slice(i, i + 1000));
    for (let i = 0; i < 24000; i += 500) {
      expect(pieces.magnitude(i, i + 500)).toBe(whole.magnitude(i, i + 500));
    }
    expect(pieces.loudest).toBeCloseTo(0.5, 3);
  });

  it("grows beyond its first room", () => {
    const peaks = new Peaks();
    for (let i = 0; i < 40; ++i) peaks.append(new Float32Array(10_000));
    peaks.append(Float32Array.of(-0.9));
    expect(peaks.length).toBe(400_001);
    expect(peaks.magnitude(399_999, 400_001)).toBeCloseTo(0.9);
    expect(peaks.magnitude(0, 300_000)).toBe(0);
  });
});

describe("Spectrum", () => {
  it("has its maximum where a tone is", () => {
    const bandOf = (hz: number) => {
      const column = Spectrum.of(tone(hz, 0.2, 24000), 24000).columns[2]!;
      return column.indexOf(Math.max(...column));
    };
    expect(bandOf(200)).toBeLessThan(bandOf(1000));
    expect(bandOf(1000)).toBeLessThan(bandOf(6000));
    // 6 kHz in mel, of 12 kHz.
    const mel = (hz: number) => Math.log(1 + hz / 700);
    expect(Math.abs(bandOf(6000) - (bands * mel(6000)) / mel(12000))).toBeLessThan(2);
  });

  it("is dark for silence, and the same in pieces as at once", () => {
    const samples = tone(440, 1, 24000);
    const pieces = new Spectrum(24000);
    for (let i = 0; i < samples.length; i += 700) pieces.append(samples.slice(i, i + 700));
    expect(pieces.columns).toEqual(Spectrum.of(samples, 24000).columns);
    expect(Math.max(...Spectrum.of(new Float32Array(2048), 24000).columns[0]!)).toBe(0);
  });
});
