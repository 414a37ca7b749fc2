// Where timed words stand in a text.

export interface TimedWord {
  text: string;
  start: number; // seconds
  end: number;
}

export interface Run {
  text: string;
  /** Index into the words; -1 for text between words. */
  word: number;
}

const edges = /^[\s\p{P}]+|[\s\p{P}]+$/gu;

/** How far a word may lie behind the one before it. */
const reach = 120;

/**
 * Cuts a text into runs, each of one timed word or of what is between words.
 * All runs together are the text. Words that do not occur have no run.
 */
export function alignWords(text: string, words: readonly TimedWord[]): Run[] {
  const runs: Run[] = [];
  const folded = text.toLowerCase();
  // Some letters have lower cases of another length; then case must agree.
  const haystack = folded.length === text.length ? folded : text;
  let done = 0;
  words.forEach((word, index) => {
    const bare = word.text.replace(edges, "") || word.text.trim();
    const needle = haystack === folded ? bare.toLowerCase() : bare;
    if (!needle) return;
    const at = haystack.indexOf(needle, done);
    if (at < 0 || at > done + reach) return;
    if (at > done) runs.push({ text: text.slice(done, at), word: -1 });
    done = at + needle.length;
    runs.push({ text: text.slice(at, done), word: index });
  });
  if (done < text.length) runs.push({ text: text.slice(done), word: -1 });
  return runs;
}

/** Index of the word (or segment) that sounds at a time, or the one before it; -1: none. */
export function wordAt(words: readonly { start: number }[], time: number): number {
  let low = 0;
  let high = words.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (words[middle]!.start <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
