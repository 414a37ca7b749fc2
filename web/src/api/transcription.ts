// POST /v1/audio/transcriptions and /v1/audio/translations.
import type { Segment } from "../text/transcript";
import { request } from "./client";

export interface TranscriptionRequest {
  file: Blob;
  name: string;
  model: string;
  /** Code; empty: found by the model. */
  language: string;
  prompt: string;
  translate: boolean;
  diarize: boolean;
}

export interface TranscriptionAnswer {
  language: string;
  duration: number;
  segments: Segment[];
}

interface VerboseJson {
  text: string;
  language?: string;
  duration?: number;
  words?: { word: string; start: number; end: number }[];
  segments?: { start: number; end: number; text: string; speaker?: string }[];
}

/** Puts words into the segments that they lie in. */
export function toSegments(answer: VerboseJson): Segment[] {
  const words = answer.words ?? [];
  let next = 0;
  const segments = (answer.segments ?? []).map((segment, index, all) => {
    const until = all[index + 1]?.start ?? Infinity;
    const mine = [];
    for (; next < words.length; ++next) {
      const word = words[next]!;
      if ((word.start + word.end) / 2 >= Math.max(segment.end, until) && until !== Infinity) break;
      mine.push({ text: word.word.trim(), start: word.start, end: word.end });
    }
    return {
      start: segment.start,
      end: segment.end,
      text: segment.text.trim(),
      speaker: segment.speaker ?? "",
      words: mine,
    };
  });
  if (segments.length === 0 && answer.text.trim()) {
    const end = answer.duration ?? words.at(-1)?.end ?? 0;
    const mine = words.map((w) => ({ text: w.word.trim(), start: w.start, end: w.end }));
    segments.push({ start: 0, end, text: answer.text.trim(), speaker: "", words: mine });
  }
  return segments.filter((segment) => segment.text !== "");
}

export async function transcribe(
  asked: TranscriptionRequest,
  signal: AbortSignal,
): Promise<TranscriptionAnswer> {
  const form = new FormData();
  form.set("file", asked.file, asked.name);
  form.set("model", asked.model);
  form.set("response_format", asked.diarize ? "diarized_json" : "verbose_json");
  if (asked.prompt) form.set("prompt", asked.prompt);
  if (!asked.translate) {
    if (asked.language) form.set("language", asked.language);
    if (!asked.diarize) {
      form.append("timestamp_granularities[]", "word");
      form.append("timestamp_granularities[]", "segment");
    }
  }
  const path = asked.translate ? "/v1/audio/translations" : "/v1/audio/transcriptions";
  const response = await request(path, { method: "POST", body: form, signal });
  const answer = (await response.json()) as VerboseJson;
  return {
    language: answer.language ?? "",
    duration: answer.duration ?? 0,
    segments: toSegments(answer),
  };
}
