// What the Speak page works with; it outlives the page, so that speech goes on
// while another page is open.
import { batch, computed, signal, type Signal } from "@preact/signals";
import { isAbort } from "../api/client";
import { models, modelsAreKnown, modelsFor } from "../api/models";
import {
  listVoices,
  streamSpeech,
  type SpeechRequest,
  type Voice,
  type Word,
} from "../api/speech";
import { dataUrl, concat } from "../audio/pcm";
import { Peaks } from "../audio/peaks";
import { Spectrum } from "../audio/spectrum";
import { StreamPlayer } from "../audio/stream-player";
import { sampleSentence } from "../text/language";
import { splitText } from "../text/parts";
import { remember, type SpeechEntry } from "./history";
import { remembered } from "./settings";
import { transcriptionModel } from "./transcribing";

export const draft = remembered(
  "draft",
  "The page you are looking at can speak. Write anything here, choose a voice, and press Speak: the sound begins while the rest is still being made.",
);
export const speed = remembered("speed", 1);
/** Code; empty: as the voice. */
export const language = remembered("language", "");
export const instructions = remembered("instructions", "");
export const reference = signal<{ audio: Blob; name: string; text: string } | undefined>(undefined);

const modelWish = remembered("speech-model", "");
/** Kokoro's best, for those who have not chosen. */
const favourite = "af_heart";
const voiceWishes = remembered<Record<string, string>>("voices", {});

export const speechModel = computed(() => {
  const all = modelsFor("speech");
  return all.find((model) => model.id === modelWish.value) ?? all[0];
});

export function chooseModel(id: string): void {
  modelWish.value = id;
}

/** Undefined while they are fetched. */
export const voices = signal<Voice[] | undefined>(undefined);

export const voice = computed(() => {
  const wish = voiceWishes.value[speechModel.value?.id ?? ""];
  const named = (id: string | undefined) => voices.value?.find((v) => v.id === id);
  return named(wish) ?? named(favourite) ?? voices.value?.[0];
});

export function chooseVoice(id: string): void {
  voiceWishes.value = { ...voiceWishes.value, [speechModel.value?.id ?? ""]: id };
}

/** Changes only with the choice, not when a model is loaded or unloaded. */
export const speechModelId = computed(() => speechModel.value?.id ?? "");

/** The server loads a model to list its voices: only for another model. */
export async function refreshVoices(): Promise<void> {
  const model = speechModel.peek();
  voices.value = undefined;
  if (!model) return;
  let list: Voice[] = [];
  try {
    if (model.features.includes("voices")) list = await listVoices(model.id);
  } catch (error) {
    speakError.value = error;
  }
  if (speechModelId.peek() === model.id) voices.value = list;
}

/** One text being spoken, or spoken. */
export interface Take {
  text: string;
  request: SpeechRequest;
  player: StreamPlayer;
  peaks: Peaks;
  spectrum: Spectrum;
  pieces: Float32Array<ArrayBuffer>[];
  words: Signal<Word[]>;
  /** Audio still comes. */
  busy: Signal<boolean>;
  /** It was stopped, or failed, before its end. */
  partial: boolean;
  /** Milliseconds to the first sound. */
  latency: Signal<number | undefined>;
}

export const take = signal<Take | undefined>(undefined);
export const speakError = signal<unknown>(undefined);
export const starting = signal(false);

let running: AbortController | undefined;

function newTake(text: string, request: SpeechRequest, rate: number): Take {
  return {
    text,
    request,
    player: new StreamPlayer(rate),
    peaks: new Peaks(),
    spectrum: new Spectrum(rate),
    pieces: [],
    words: signal([]),
    busy: signal(true),
    partial: false,
    latency: signal(undefined),
  };
}

function addPiece(take: Take, samples: Float32Array<ArrayBuffer>): void {
  take.pieces.push(samples);
  take.peaks.append(samples);
  take.spectrum.append(samples);
  take.player.append(samples);
}

async function makeRequest(text: string): Promise<SpeechRequest> {
  await modelsAreKnown();
  const model = speechModel.value;
  if (!model) throw new Error("No speech model is installed.");
  const has = (feature: string) => model.features.includes(feature);
  const request: SpeechRequest = {
    model: model.id,
    input: text,
    // The same seed makes the same audio, for downloads in other formats.
    seed: Math.floor(Math.random() * 2 ** 31),
  };
  if (voice.value) request.voice = voice.value.id;
  if (speed.value !== 1) request.speed = speed.value;
  if (language.value) request.language = language.value;
  if (has("instructions") && instructions.value.trim()) {
    request.instructions = instructions.value.trim();
  }
  if (has("reference") && reference.value) {
    request.ref_audio = await dataUrl(reference.value.audio);
    const said = reference.value.text.trim();
    if (said || transcriptionModel.value) request.ref_text = said || "auto";
    else request.x_vector_only = true;
  }
  return request;
}

export async function speak(): Promise<void> {
  stopSpeaking();
  take.value?.player.pause();
  const control = (running = new AbortController());
  batch(() => {
    speakError.value = undefined;
    starting.value = true;
  });
  let made: Take | undefined;
  try {
    const text = draft.value.trim();
    const request = await makeRequest(text);
    const asked = performance.now();
    for (const part of splitText(text)) {
      const offset = made?.player.duration.value ?? 0;
      for await (const piece of streamSpeech({ ...request, input: part }, control.signal)) {
        if (!made) {
          made = newTake(text, request, piece.rate);
          made.latency.value = performance.now() - asked;
          take.value = made;
          starting.value = false;
          made.player.play();
        }
        addPiece(made, piece.samples as Float32Array<ArrayBuffer>);
        if (piece.words.length > 0) {
          const moved = piece.words.map((w) => ({
            ...w,
            start: w.start + offset,
            end: w.end + offset,
          }));
          made.words.value = [...made.words.value, ...moved];
        }
      }
    }
  } catch (error) {
    if (made) made.partial = true;
    if (!isAbort(error)) speakError.value = error;
  } finally {
    if (made) {
      made.player.finish();
      made.busy.value = false;
      void remember(entryOf(made));
    }
    if (running === control) {
      running = undefined;
      starting.value = false;
    }
  }
}

/** Closes the connection, on which the server drops the work. */
export function stopSpeaking(): void {
  running?.abort();
  running = undefined;
  starting.value = false;
}

function entryOf(take: Take): SpeechEntry {
  const { request, player } = take;
  // A reference recording is large and is chosen again in a moment.
  const { ref_audio: _, ...kept } = request;
  return {
    kind: "speech",
    request: kept,
    words: take.words.value,
    rate: player.rate,
    samples: concat(take.pieces),
  };
}

/** Shows a take of the past. */
export function reopenSpeech(entry: SpeechEntry): void {
  stopSpeaking();
  take.value?.player.pause();
  const old = newTake(entry.request.input, entry.request, entry.rate);
  addPiece(old, entry.samples as Float32Array<ArrayBuffer>);
  old.player.finish();
  old.words.value = entry.words;
  old.busy.value = false;
  draft.value = entry.request.input;
  take.value = old;
}

// Voices heard before need not be made again.
const previews = new Map<string, StreamPlayer>();
export const previewing = signal("");

export async function preview(of: Voice): Promise<void> {
  const model = speechModel.value?.id ?? "";
  const name = `${model}/${of.id}`;
  let player = previews.get(name);
  if (player?.playing.value) return player.pause();
  if (!player) {
    previewing.value = of.id;
    try {
      const request = { model, voice: of.id, input: sampleSentence(of.language), seed: 1 };
      for await (const piece of streamSpeech(request, new AbortController().signal)) {
        if (!player) {
          player = new StreamPlayer(piece.rate);
          player.play();
        }
        player.append(piece.samples as Float32Array<ArrayBuffer>);
      }
      player?.finish();
      if (player) previews.set(name, player);
    } catch (error) {
      speakError.value = error;
    } finally {
      previewing.value = "";
    }
    return;
  }
  player.play();
}

export const noSpeechModel = computed(
  () => models.value !== undefined && speechModel.value === undefined,
);
