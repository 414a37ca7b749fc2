// A transcript: segments of timed words, editing, and export.
import type { TimedWord } from "./align";

export interface Segment {
  start: number; // seconds
  end: number;
  text: string;
  speaker: string; // empty: unknown
  words: TimedWord[];
}

export interface Transcript {
  name: string;
  language: string;
  duration: number;
  segments: Segment[];
}

const bare = (word: string) => word.toLowerCase().replace(/[\p{P}\s]/gu, "");

/** Pairs of indices of a longest common subsequence. */
function commonWords(a: string[], b: string[]): [number, number][] {
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; --i) {
    for (let j = b.length - 1; j >= 0; --j) {
      length[i * width + j] =
        a[i] === b[j]
          ? 1 + length[(i + 1) * width + j + 1]!
          : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!);
    }
  }
  const pairs: [number, number][] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (length[(i + 1) * width + j]! >= length[i * width + j + 1]!) ++i;
    else ++j;
  }
  return pairs;
}

/**
 * The segment with another text. Words that stay keep their times; new ones
 * share the time between those.
 */
export function withText(segment: Segment, text: string): Segment {
  const tidy = text.replace(/\s+/g, " ").trim();
  if (segment.words.length === 0) return { ...segment, text: tidy };
  const tokens = tidy.split(" ").filter(Boolean);
  const words: TimedWord[] = tokens.map((token) => ({ text: token, start: NaN, end: NaN }));
  const pairs = commonWords(segment.words.map((w) => bare(w.text)), tokens.map(bare));
  for (const [from, to] of pairs) {
    const { start, end } = segment.words[from]!;
    Object.assign(words[to]!, { start, end });
  }
  for (let i = 0; i < words.length; ) {
    if (!Number.isNaN(words[i]!.start)) {
      ++i;
      continue;
    }
    let after = i;
    while (after < words.length && Number.isNaN(words[after]!.start)) ++after;
    const from = i > 0 ? words[i - 1]!.end : segment.start;
    const until = Math.max(from, after < words.length ? words[after]!.start : segment.end);
    const step = (until - from) / (after - i);
    for (let k = i; k < after; ++k) {
      words[k]!.start = from + (k - i) * step;
      words[k]!.end = from + (k - i + 1) * step;
    }
    i = after;
  }
  return { ...segment, text: tidy, words };
}

/** "0:07", "1:02:03". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  return whole >= 3600
    ? `${Math.floor(whole / 3600)}:${two(minutes)}:${two(whole % 60)}`
    : `${minutes}:${two(whole % 60)}`;
}

function stamp(seconds: number, point: string): string {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const pad = (n: number, digits: number) => String(n).padStart(digits, "0");
  return (
    `${pad(Math.floor(ms / 3_600_000), 2)}:${pad(Math.floor(ms / 60_000) % 60, 2)}:` +
    `${pad(Math.floor(ms / 1000) % 60, 2)}${point}${pad(ms % 1000, 3)}`
  );
}

const named = (segment: Segment) =>
  segment.speaker ? `${segment.speaker}: ${segment.text}` : segment.text;

export const exportFormats = ["txt", "srt", "vtt", "json"] as const;
export type ExportFormat = (typeof exportFormats)[number];

export function exportTranscript(transcript: Transcript, format: ExportFormat): Blob {
  const { segments } = transcript;
  const [type, text] = ((): [string, string] => {
    switch (format) {
      case "txt":
        return ["text/plain", segments.map(named).join("\n") + "\n"];
      case "srt":
        return [
          "application/x-subrip",
          segments
            .map((s, i) => `${i + 1}\n${stamp(s.start, ",")} --> ${stamp(s.end, ",")}\n${named(s)}\n`)
            .join("\n"),
        ];
      case "vtt": {
        const escape = (t: string) =>
          t.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
        const cue = (s: Segment) =>
          `${stamp(s.start, ".")} --> ${stamp(s.end, ".")}\n` +
          (s.speaker ? `<v ${escape(s.speaker)}>` : "") +
          escape(s.text);
        return ["text/vtt", ["WEBVTT", ...segments.map(cue)].join("\n\n") + "\n"];
      }
      case "json":
        return [
          "application/json",
          JSON.stringify(
            {
              language: transcript.language,
              duration: transcript.duration,
              text: segments.map((s) => s.text).join(" "),
              segments: segments.map((s, id) => ({
                id,
                start: s.start,
                end: s.end,
                text: s.text,
                ...(s.speaker && { speaker: s.speaker }),
                words: s.words.map((w) => ({ word: w.text, start: w.start, end: w.end })),
              })),
            },
            null,
            2,
          ) + "\n",
        ];
    }
  })();
  return new Blob([text], { type: `${type};charset=utf-8` });
}

/** The speakers in the order in which they first speak. */
export function speakersOf(segments: readonly Segment[]): string[] {
  return [...new Set(segments.map((s) => s.speaker).filter(Boolean))];
}
