import { describe, expect, it } from "vitest";
import { alignWords, wordAt } from "../../src/text/align";
import { languageName, sampleSentence } from "../../src/text/language";
import { splitText } from "../../src/text/parts";
import { clock, exportTranscript, speakersOf, withText, type Segment } from "../../src/text/transcript";

const word = (text: string, start: number, end: number) => ({ text, start, end });

describe("alignWords", () => {
  const words = [word("Hello", 0, 0.4), word("world", 0.5, 0.9)];

  it("gives back the whole text", () => {
    const text = "  “Hello”, big world!\n";
    expect(alignWords(text, words).map((run) => run.text).join("")).toBe(text);
  });

  it("finds words whatever their case and punctuation", () => {
    const runs = alignWords("HELLO, world.", [word("hello,", 0, 1), word("World.", 1, 2)]);
    expect(runs.filter((run) => run.word >= 0)).toEqual([
      { text: "HELLO", word: 0 },
      { text: "world", word: 1 },
    ]);
  });

  it("leaves out words that are not in the text, and goes on", () => {
    const runs = alignWords("in 2024 it rained", [
      word("in", 0, 1), word("twenty", 1, 2), word("it", 2, 3), word("rained", 3, 4),
    ]);
    expect(runs.filter((run) => run.word >= 0).map((run) => run.word)).toEqual([0, 2, 3]);
  });

  it("does not jump far ahead for a word that was not said", () => {
    const text = `one ${"x ".repeat(200)}two three`;
    const runs = alignWords(text, [word("one", 0, 1), word("three", 1, 2)]);
    expect(runs.some((run) => run.word === 1)).toBe(false);
  });

  it("takes the same word twice in order", () => {
    const runs = alignWords("no no no", [word("no", 0, 1), word("no", 1, 2), word("no", 2, 3)]);
    expect(runs.filter((run) => run.word >= 0).map((run) => run.word)).toEqual([0, 1, 2]);
  });
});

describe("wordAt", () => {
  const words = [word("a", 1, 2), word("b", 2, 3), word("c", 5, 6)];
  it.each([[0.5, -1], [1, 0], [2.5, 1], [4, 1], [9, 2]])("at %d s", (time, index) => {
    expect(wordAt(words, time)).toBe(index);
  });
});

const segment: Segment = {
  start: 0,
  end: 4,
  text: "the quick brown fox",
  speaker: "",
  words: [word("the", 0, 1), word("quick", 1, 2), word("brown", 2, 3), word("fox", 3, 4)],
};

describe("withText", () => {
  it("keeps the times of words that stay", () => {
    const edited = withText(segment, "The quick red fox.");
    expect(edited.words).toEqual([
      word("The", 0, 1), word("quick", 1, 2), word("red", 2, 3), word("fox.", 3, 4),
    ]);
  });

  it("shares the time of a word among those that replace it", () => {
    const edited = withText(segment, "the quick very dark fox");
    expect(edited.words.slice(2, 4)).toEqual([word("very", 2, 2.5), word("dark", 2.5, 3)]);
  });

  it("keeps times in order when words are added at the ends", () => {
    const { words } = withText(segment, "and the quick brown fox ran away");
    for (let i = 1; i < words.length; ++i) {
      expect(words[i]!.start).toBeGreaterThanOrEqual(words[i - 1]!.start);
    }
  });

  it("may become empty", () => {
    expect(withText(segment, "  ")).toMatchObject({ text: "", words: [] });
  });
});

describe("exportTranscript", () => {
  const transcript = {
    name: "x",
    language: "en",
    duration: 3725.5,
    segments: [
      { ...segment, speaker: "Ann" },
      { start: 3661.25, end: 3725.5, text: "a < b & c", speaker: "", words: [] },
    ],
  };
  const text = (format: "txt" | "srt" | "vtt" | "json") => exportTranscript(transcript, format).text();

  it("txt", async () => {
    expect(await text("txt")).toBe("Ann: the quick brown fox\na < b & c\n");
  });

  it("srt", async () => {
    expect(await text("srt")).toBe(
      "1\n00:00:00,000 --> 00:00:04,000\nAnn: the quick brown fox\n\n" +
        "2\n01:01:01,250 --> 01:02:05,500\na < b & c\n",
    );
  });

  it("vtt, whose markup is escaped", async () => {
    expect(await text("vtt")).toBe(
      "WEBVTT\n\n00:00:00.000 --> 00:00:04.000\n<v Ann>the quick brown fox\n\n" +
        "01:01:01.250 --> 01:02:05.500\na &lt; b &amp; c\n",
    );
  });

  it("json", async () => {
    const json = JSON.parse(await text("json"));
    expect(json.segments[0]).toMatchObject({ id: 0, speaker: "Ann" });
    expect(json.segments[0].words[1]).toEqual({ word: "quick", start: 1, end: 2 });
    expect(json.segments[1]).not.toHaveProperty("speaker");
  });

  it("names speakers once, in order", () => {
    expect(speakersOf(transcript.segments)).toEqual(["Ann"]);
  });
});

describe("splitText", () => {
  it("keeps all of the text", () => {
    const text = "One sentence. ".repeat(700) + "\n\nA paragraph. " + "x".repeat(9000);
    const parts = splitText(text, 1000);
    expect(parts.join("")).toBe(text);
    expect(Math.max(...parts.map((part) => part.length))).toBeLessThanOrEqual(1000);
  });

  it("cuts behind a sentence", () => {
    expect(splitText("It rains. It snows. It hails.", 22)).toEqual(["It rains. It snows. ", "It hails."]);
  });

  it("prefers a paragraph", () => {
    expect(splitText("It rains.\n\nIt snows. It hails.", 22)[0]).toBe("It rains.\n\n");
  });
});

describe("language", () => {
  it("names codes of every kind", () => {
    expect(languageName("a")).toBe("American English");
    expect(languageName("en-gb")).toBe("British English");
    expect(languageName("pt-br")).toBe("Brazilian Portuguese");
    expect(languageName("english")).toBe("English");
    expect(languageName("")).toBe("Any language");
  });

  it("has a sentence for each", () => {
    expect(sampleSentence("es")).toMatch(/mar/);
    expect(sampleSentence("xx")).toMatch(/sea/);
  });
});

it("clock", () => {
  expect([0, 7.9, 61, 3723].map(clock)).toEqual(["0:00", "0:07", "1:01", "1:02:03"]);
});
