// POST /v1/audio/speech, voices.
import { samplesFromInt16 } from "../audio/pcm";
import { postJson, requestJson } from "./client";
import { readEvents } from "./sse";

export interface Word {
  text: string;
  start: number; // seconds
  end: number;
}

export interface SpeechRequest {
  model: string;
  input: string;
  /** Models without voices of their own have none. */
  voice?: string;
  speed?: number;
  language?: string;
  instructions?: string;
  ref_audio?: string; // data URL
  ref_text?: string; // "auto": the server transcribes it
  x_vector_only?: boolean; // the timbre alone
  seed?: number;
}

export interface Voice {
  id: string;
  name: string;
  language: string;
  gender: string;
  uploaded: boolean;
}

export interface SpeechPiece {
  samples: Float32Array;
  rate: number;
  words: Word[];
}

/** Speech as it is made. Abort the signal to cancel the work on the server. */
export async function* streamSpeech(
  speech: SpeechRequest,
  signal: AbortSignal,
): AsyncGenerator<SpeechPiece> {
  const response = await postJson(
    "/v1/audio/speech",
    { ...speech, response_format: "pcm", stream_format: "sse", timestamps: true },
    signal,
  );
  const rate = Number(response.headers.get("x-sample-rate")) || 24000;
  let carry = new Uint8Array(0);
  for await (const event of readEvents<{ type: string; audio?: string; words?: Word[] }>(response)) {
    if (event.type !== "speech.audio.delta") continue;
    const { samples, rest } = samplesFromInt16(carry, event.audio ?? "");
    carry = rest;
    yield { samples, rate, words: event.words ?? [] };
  }
}

export const speechFormats = ["wav", "mp3", "opus", "aac", "flac", "pcm"] as const;
export type SpeechFormat = (typeof speechFormats)[number];

/** The whole in one file of the format. */
export async function speechFile(speech: SpeechRequest, format: SpeechFormat): Promise<Blob> {
  const response = await postJson("/v1/audio/speech", { ...speech, response_format: format });
  return response.blob();
}

export async function listVoices(model: string): Promise<Voice[]> {
  const list = await requestJson<{ data?: Partial<Voice>[]; voices?: Partial<Voice>[] }>(
    `/v1/audio/voices?model=${encodeURIComponent(model)}`,
  );
  return (list.data ?? list.voices ?? []).map((voice) => ({
    id: voice.id ?? "",
    name: voice.name ?? voice.id ?? "",
    language: voice.language ?? "",
    gender: voice.gender ?? "",
    uploaded: voice.uploaded ?? false,
  }));
}
