// One audio context for each sample rate, so that nothing is resampled at the
// borders of chunks, and the analyser of whatever sounds, for the pictures.
import { signal } from "@preact/signals";
import type { Transport } from "./transport";

/** Of what sounds now: speech, a recording, or the microphone. */
export const analyser = signal<AnalyserNode | undefined>(undefined);

export interface Bus {
  context: AudioContext;
  /** Where players connect. */
  input: GainNode;
  tap: AnalyserNode;
}

const buses = new Map<number, Bus>();

export function bus(rate: number): Bus {
  const known = buses.get(rate);
  if (known) return known;
  const context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
  const input = context.createGain();
  const tap = makeAnalyser(context);
  input.connect(tap).connect(context.destination);
  const made = { context, input, tap };
  buses.set(rate, made);
  return made;
}

export function makeAnalyser(context: AudioContext): AnalyserNode {
  const tap = context.createAnalyser();
  tap.fftSize = 2048;
  tap.smoothingTimeConstant = 0.75;
  return tap;
}

/** At most one thing sounds at a time: the last that was started. */
export const sounding = signal<Transport | undefined>(undefined);

export function takeOver(player: Transport | undefined): void {
  if (sounding.peek() !== player) sounding.peek()?.pause();
  sounding.value = player;
}
