// The official client of npm, unmodified.
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startServer, type Server } from "./server";

const text = "The quick brown fox jumps over the lazy dog.";
let server: Server;
let client: OpenAI;
let wav: Buffer;

beforeAll(async () => {
  server = await startServer("--preload", "kokoro,whisper-tiny.en", "--transcription-model", "whisper-tiny.en");
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const response = await client.audio.speech.create({
    model: "tts-1", voice: "alloy", input: text, response_format: "wav",
  });
  wav = Buffer.from(await response.arrayBuffer());
});

afterAll(() => server.stop());

const words = (said: string) => said.toLowerCase().replace(/[^a-z ]/g, "").trim();

test("speech arrives in pieces", async () => {
  const response = await client.audio.speech.create({
    model: "kokoro", voice: "af_heart", input: `${text} `.repeat(8), response_format: "pcm",
  });
  let pieces = 0;
  let bytes = 0;
  for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
    ++pieces;
    bytes += piece.length;
  }
  expect(pieces).toBeGreaterThan(2);
  expect(bytes / 48000).toBeGreaterThan(16);
});

test("speech is heard again", async () => {
  const file = await toFile(wav, "a.wav");
  const { text: heard } = await client.audio.transcriptions.create({ model: "whisper-1", file });
  expect(words(heard)).toBe(words(text));
  const verbose = await client.audio.transcriptions.create({
    model: "whisper-1", file, response_format: "verbose_json", timestamp_granularities: ["word", "segment"],
  });
  expect(verbose.words?.length).toBe(9);
  expect(verbose.segments?.length).toBe(1);
});

test("a transcript streams", async () => {
  const stream = await client.audio.transcriptions.create({
    model: "whisper-1", file: await toFile(wav, "a.wav"), stream: true,
  });
  let heard = "";
  let done = "";
  for await (const event of stream) {
    if (event.type === "transcript.text.delta") heard += event.delta;
    if (event.type === "transcript.text.done") done = event.text;
  }
  expect(words(done)).toBe(words(text));
  expect(words(heard)).toBe(words(text));
});

test("models are listed, mistakes are named", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  expect(ids).toContain("kokoro");
  await expect(client.audio.speech.create({ model: "none", voice: "alloy", input: "hi" })).rejects.toThrow(OpenAI.NotFoundError);
  await expect(client.audio.speech.create({ model: "kokoro", voice: "alloy", input: "" })).rejects.toThrow(OpenAI.BadRequestError);
});
