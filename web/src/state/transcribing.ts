// What the Transcribe page works with: recordings in a queue, and live captions.
import { computed, signal } from "@preact/signals";
import { ApiError, isAbort } from "../api/client";
import { modelsAreKnown, modelsFor } from "../api/models";
import { CaptionSession, captionRate } from "../api/realtime";
import { transcribe } from "../api/transcription";
import { decodeMono } from "../audio/decode";
import { MediaPlayer } from "../audio/media-player";
import { wavFile } from "../audio/pcm";
import { Peaks } from "../audio/peaks";
import { Recorder } from "../audio/recorder";
import type { Segment, Transcript } from "../text/transcript";
import { remember, rewrite, type TranscriptEntry } from "./history";
import { remembered } from "./settings";

const modelWish = remembered("transcription-model", "");
/** Code; empty: found by the model. */
export const language = remembered("transcription-language", "");
export const translate = remembered("translate", false);
export const prompt = remembered("prompt", "");

export const transcriptionModel = computed(() => {
  const all = modelsFor("transcription");
  return all.find((m) => m.id === modelWish.value) ?? all[0];
});

export function chooseModel(id: string): void {
  modelWish.value = id;
}

const has = (feature: string) => transcriptionModel.value?.features.includes(feature) ?? false;
export const canTranslate = computed(() => has("translation"));
export const canDiarize = computed(() => has("diarization") || has("speakers"));

export type Progress = "waiting" | "working" | "done" | "failed";

export interface Recording {
  id: number;
  name: string;
  audio: Blob;
  player: MediaPlayer;
  /** Of 8 kHz; empty until the browser has decoded it. */
  peaks: Peaks;
  progress: Progress;
  error?: unknown;
  transcript: Transcript;
  /** Its entry in the history; 0: none yet. */
  entry: number;
}

export const peakRate = 8000;
/** Larger files are played, but not drawn: decoding takes their whole length in memory. */
const drawnBytes = 64 << 20;

export const recordings = signal<Recording[]>([]);
export const chosen = signal(0);
export const current = computed(() => recordings.value.find((r) => r.id === chosen.value));

let nextId = 1;
let running: { id: number; control: AbortController } | undefined;

function update(id: number, change: Partial<Recording>): void {
  recordings.value = recordings.value.map((r) => (r.id === id ? { ...r, ...change } : r));
}

function add(name: string, audio: Blob, transcript?: Transcript, entry = 0): number {
  const id = nextId++;
  const recording: Recording = {
    id,
    name,
    audio,
    player: new MediaPlayer(audio),
    peaks: new Peaks(),
    progress: transcript ? "done" : "waiting",
    transcript: transcript ?? { name, language: "", duration: 0, segments: [] },
    entry,
  };
  recordings.value = [...recordings.value, recording];
  if (audio.size <= drawnBytes) {
    audio
      .arrayBuffer()
      .then((bytes) => decodeMono(bytes, peakRate))
      .then((samples) => update(id, { peaks: Peaks.of(samples) }))
      // The server may read formats that the browser cannot.
      .catch(() => undefined);
  }
  return id;
}

export function addFiles(files: File[]): void {
  const ids = files.map((file) => add(file.name, file));
  chosen.value = ids[0]!;
  void work();
}

/** One after the other: the server has one device. */
async function work(): Promise<void> {
  if (running) return;
  const next = recordings.value.find((r) => r.progress === "waiting");
  if (!next) return;
  const control = new AbortController();
  running = { id: next.id, control };
  update(next.id, { progress: "working" });
  try {
    await modelsAreKnown();
    const model = transcriptionModel.value;
    if (!model) throw new Error("No transcription model is installed.");
    const answer = await transcribe(
      {
        file: next.audio,
        name: next.name,
        model: model.id,
        language: language.value,
        prompt: prompt.value.trim(),
        translate: translate.value && canTranslate.value,
        diarize: canDiarize.value,
      },
      control.signal,
    );
    const transcript = { name: next.name, ...answer };
    update(next.id, { progress: "done", transcript });
    update(next.id, { entry: await remember(entryOf(next, transcript)) });
  } catch (error) {
    if (!isAbort(error)) update(next.id, { progress: "failed", error });
  } finally {
    running = undefined;
  }
  void work();
}

export function retry(id: number): void {
  update(id, { progress: "waiting", error: undefined });
  void work();
}

export function remove(id: number): void {
  if (running?.id === id) running.control.abort();
  recordings.value.find((r) => r.id === id)?.player.close();
  recordings.value = recordings.value.filter((r) => r.id !== id);
  if (chosen.value === id) chosen.value = recordings.value.at(-1)?.id ?? 0;
}

function entryOf(recording: Recording, transcript: Transcript): TranscriptEntry {
  return { kind: "transcript", transcript, audio: recording.audio };
}

/** Replaces a segment after it was edited. */
export function editSegment(recording: Recording, index: number, segment: Segment): void {
  const segments = recording.transcript.segments.map((s, i) => (i === index ? segment : s));
  saveSegments(recording, segments);
}

/** Gives a speaker another name everywhere. */
export function renameSpeaker(recording: Recording, from: string, to: string): void {
  saveSegments(
    recording,
    recording.transcript.segments.map((s) => (s.speaker === from ? { ...s, speaker: to } : s)),
  );
}

function saveSegments(recording: Recording, segments: Segment[]): void {
  const transcript = { ...recording.transcript, segments };
  update(recording.id, { transcript });
  if (recording.entry) void rewrite(recording.entry, entryOf(recording, transcript));
}

export function reopenTranscript(entry: TranscriptEntry, id: number): void {
  const open = recordings.value.find((r) => r.entry === id);
  chosen.value = open?.id ?? add(entry.transcript.name, entry.audio, entry.transcript, id);
}

// Live captions.

export interface Caption {
  item: string;
  text: string;
  /** Words that may still change. */
  pending: string;
}

export const captions = signal<Caption[]>([]);
export const captionError = signal<unknown>(undefined);
export const live = signal<Recorder | undefined>(undefined);
export const hearsSpeech = signal(false);
export const connected = signal(false);

let session: CaptionSession | undefined;

export async function startLive(): Promise<void> {
  captionError.value = undefined;
  captions.value = [];
  const recorder = new Recorder(captionRate, (block) => session?.append(block));
  try {
    await modelsAreKnown();
    const model = transcriptionModel.value;
    if (!model) throw new Error("No transcription model is installed.");
    await recorder.start();
    live.value = recorder;
    session = new CaptionSession(model.id, language.value, {
      ready: () => (connected.value = true),
      caption: setCaption,
      speaking: (now) => (hearsSpeech.value = now),
      failed: (error: ApiError) => (captionError.value = error),
      closed: () => (connected.value = false),
    });
  } catch (error) {
    captionError.value = error;
  }
}

function setCaption(item: string, text: string, pending: string): void {
  const known = captions.value.some((c) => c.item === item);
  captions.value = known
    ? captions.value.map((c) => (c.item === item ? { item, text, pending } : c))
    : [...captions.value, { item, text, pending }];
}

/** Ends the recording and transcribes it once more, with every word's time. */
export function stopLive(): void {
  const recorder = live.value;
  if (!recorder) return;
  const samples = recorder.stop();
  live.value = undefined;
  hearsSpeech.value = false;
  session?.finish();
  session = undefined;
  if (samples.length < captionRate / 4) return;
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const id = add(`Recording ${time}`, wavFile(samples, captionRate));
  chosen.value = id;
  void work();
}
