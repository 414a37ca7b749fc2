// Hands the microphone's samples to the page, a tenth of a second at a time.

declare const sampleRate: number;
declare function registerProcessor(name: string, type: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

class Capture extends AudioWorkletProcessor {
  private block = new Float32Array(Math.round(sampleRate / 10));
  private filled = 0;

  process(inputs: Float32Array[][]): boolean {
    const input = inputs[0]?.[0];
    for (let at = 0; input && at < input.length; ) {
      const room = Math.min(input.length - at, this.block.length - this.filled);
      this.block.set(input.subarray(at, at + room), this.filled);
      this.filled += room;
      at += room;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block, [this.block.buffer]);
        this.block = new Float32Array(Math.round(sampleRate / 10));
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
export {};
