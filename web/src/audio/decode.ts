// Files to samples, by the browser.

/** Mono samples at the rate. Throws a DOMException if it cannot be read. */
export async function decodeMono(
  bytes: ArrayBuffer,
  rate: number,
): Promise<Float32Array<ArrayBuffer>> {
  const context = new OfflineAudioContext(1, 1, rate);
  const decoded = await context.decodeAudioData(bytes);
  const mono = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; ++channel) {
    const samples = decoded.getChannelData(channel);
    for (let i = 0; i < mono.length; ++i) mono[i]! += samples[i]! / decoded.numberOfChannels;
  }
  return mono;
}
