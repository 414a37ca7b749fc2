// Samples, bytes and WAV files.

export function bytesFromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; ++i) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

export function base64FromBytes(bytes: Uint8Array): string {
  let binary = "";
  for (let i = 0; i < bytes.length; i += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(binary);
}

/** Little-endian 16-bit PCM in base64; a sample may be split between calls. */
export function samplesFromInt16(
  carry: Uint8Array<ArrayBuffer>,
  base64: string,
): { samples: Float32Array; rest: Uint8Array<ArrayBuffer> } {
  const added = bytesFromBase64(base64);
  const bytes = new Uint8Array(carry.length + added.length);
  bytes.set(carry);
  bytes.set(added, carry.length);
  const view = new DataView(bytes.buffer);
  const samples = new Float32Array(bytes.length >> 1);
  for (let i = 0; i < samples.length; ++i) samples[i] = view.getInt16(2 * i, true) / 32768;
  return { samples, rest: bytes.slice(2 * samples.length) };
}

export function int16FromSamples(samples: Float32Array): Int16Array<ArrayBuffer> {
  const out = new Int16Array(samples.length);
  for (let i = 0; i < out.length; ++i) {
    out[i] = Math.max(-32768, Math.min(32767, Math.round(samples[i]! * 32768)));
  }
  return out;
}

export function concat(pieces: Float32Array[]): Float32Array<ArrayBuffer> {
  const out = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** A mono 16-bit WAV file. */
export function wavFile(samples: Float32Array, rate: number): Blob {
  const data = int16FromSamples(samples);
  const header = new DataView(new ArrayBuffer(44));
  const tag = (at: number, text: string) =>
    [...text].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
  tag(0, "RIFF");
  header.setUint32(4, 36 + data.byteLength, true);
  tag(8, "WAVEfmt ");
  header.setUint32(16, 16, true); // size of the format
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // channels
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true); // bytes a second
  header.setUint16(32, 2, true); // bytes a frame
  header.setUint16(34, 16, true); // bits a sample
  tag(36, "data");
  header.setUint32(40, data.byteLength, true);
  return new Blob([header.buffer, data], { type: "audio/wav" });
}

export function dataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
