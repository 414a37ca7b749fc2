// The microphone as mono samples.
import { signal } from "@preact/signals";
import { analyser, bus, makeAnalyser, takeOver } from "./bus";
import workletUrl from "./capture-worklet.ts?worker&url";
import { concat } from "./pcm";

const withWorklet = new WeakMap<AudioContext, Promise<void>>();

interface RecorderOptions {
  /** Whether stop() shall give the samples [true]. */
  keeps?: boolean;
  /** Whether the browser shall clean the sound by itself [true]. */
  noiseSuppression?: boolean;
}

export class Recorder {
  readonly seconds = signal(0);
  private readonly blocks: Float32Array<ArrayBuffer>[] = [];
  private stream?: MediaStream;
  private nodes: AudioNode[] = [];

  constructor(
    readonly rate: number,
    private readonly onBlock: (block: Float32Array<ArrayBuffer>) => void = () => undefined,
    private readonly options: RecorderOptions = {},
  ) {}

  /** Throws a DOMException if there is no microphone or no permission. */
  async start(): Promise<void> {
    if (!navigator.mediaDevices) {
      throw new Error("The browser gives the microphone only to pages from this machine or over HTTPS.");
    }
    const { keeps = true, noiseSuppression = true } = this.options;
    takeOver(undefined);
    const { context } = bus(this.rate);
    await context.resume();
    if (!withWorklet.has(context)) {
      withWorklet.set(context, context.audioWorklet.addModule(workletUrl));
    }
    this.stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression },
    });
    await withWorklet.get(context);
    const source = context.createMediaStreamSource(this.stream);
    const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0, channelCount: 1 });
    const tap = makeAnalyser(context);
    source.connect(tap);
    source.connect(capture);
    analyser.value = tap;
    this.nodes = [source, capture, tap];
    capture.port.onmessage = ({ data }: MessageEvent<Float32Array<ArrayBuffer>>) => {
      if (keeps) this.blocks.push(data);
      this.seconds.value += data.length / this.rate;
      this.onBlock(data);
    };
  }

  /** Gives all that was recorded. */
  stop(): Float32Array<ArrayBuffer> {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.nodes.forEach((node) => node.disconnect());
    return concat(this.blocks);
  }
}
