// A recording that is cleaned while it is made.
import { signal } from "@preact/signals";
import { CleaningSession } from "../api/live-cleaning";
import { concat } from "../audio/pcm";
import { Peaks } from "../audio/peaks";
import { Recorder } from "../audio/recorder";
import { StreamPlayer } from "../audio/stream-player";
import { remembered } from "./settings";

export interface Take {
  /** Of what is cleaned so far. */
  player: StreamPlayer;
  peaks: Peaks;
  /** Seconds that results are behind; nothing before the server listens. */
  latency?: number;
}

export const take = signal<Take | undefined>(undefined);
export const recorder = signal<Recorder | undefined>(undefined);
export const takeError = signal<unknown>(undefined);
/** Whether the result sounds while it is recorded. */
export const aloud = remembered("clean-aloud", false);

let session: CleaningSession | undefined;

/** `done` gets the recording and its cleaned form, which are equally long. */
export function startTake(
  model: string,
  rate: number,
  done: (mix: Float32Array<ArrayBuffer>, speech: Float32Array<ArrayBuffer>) => void,
): void {
  const cleaned: Float32Array<ArrayBuffer>[] = [];
  const player = new StreamPlayer(rate);
  const peaks = new Peaks();
  const microphone = new Recorder(rate, (block) => own.append(block), { noiseSuppression: false });
  takeError.value = undefined;
  take.value = { player, peaks };
  const own = (session = new CleaningSession(model, rate, {
    ready: (latency) => {
      take.value = { player, peaks, latency };
      microphone.start().then(
        () => {
          recorder.value = microphone;
          if (aloud.value) player.play();
        },
        (error: unknown) => {
          takeError.value = error;
          own.close();
        },
      );
    },
    cleaned: (samples) => {
      cleaned.push(samples);
      peaks.append(samples);
      player.append(samples);
    },
    failed: (error) => (takeError.value = error),
    closed: () => {
      const speech = concat(cleaned);
      const mix = microphone.stop();
      player.pause();
      recorder.value = undefined;
      take.value = undefined;
      if (speech.length > 0) done(mix.slice(0, speech.length), speech);
    },
  }));
}

/** Ends the recording; what is not cleaned yet follows. */
export function stopTake(): void {
  const seconds = recorder.value?.seconds.value ?? 0;
  recorder.value?.stop();
  recorder.value = undefined;
  if (seconds > 0) session?.finish();
  else session?.close();
}

export function setAloud(on: boolean): void {
  aloud.value = on;
  const player = take.value?.player;
  if (!on) return player?.pause();
  if (!player || !recorder.value) return;
  player.seek(player.duration.value);
  player.play();
}
