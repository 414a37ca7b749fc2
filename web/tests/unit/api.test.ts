import { describe, expect, it } from "vitest";
import { adviceFor, ApiError, toApiError } from "../../src/api/client";
import { EventParser, readEvents } from "../../src/api/sse";
import { toSegments } from "../../src/api/transcription";

describe("EventParser", () => {
  const stream = 'data: {"a":1}\r\n\r\n: comment\nevent: x\ndata: {"b":\ndata: 2}\n\ndata: [DONE]\n\n';

  it.each([1, 2, 3, 7, 1000])("in pieces of %d characters", (size) => {
    const parser = new EventParser();
    const events: string[] = [];
    for (let i = 0; i < stream.length; i += size) events.push(...parser.push(stream.slice(i, i + size)));
    expect(events).toEqual(['{"a":1}', '{"b":\n2}', "[DONE]"]);
  });
});

describe("readEvents", () => {
  const all = async (text: string) => {
    const events = [];
    for await (const event of readEvents(new Response(text))) events.push(event);
    return events;
  };

  it("ends at [DONE], or at the end of the stream", async () => {
    expect(await all('data: {"a":1}\n\ndata: [DONE]\n\ndata: {"b":1}\n\n')).toEqual([{ a: 1 }]);
    expect(await all('data: {"a":1}\n\ndata: {"a":2}')).toEqual([{ a: 1 }, { a: 2 }]);
  });

  it("throws an error that comes in the stream", async () => {
    await expect(all('data: {"error":{"message":"out of memory"}}\n\n')).rejects.toThrow("out of memory");
  });
});

describe("errors", () => {
  it("are read from OpenAI's shape", () => {
    const error = toApiError(
      429,
      { error: { message: "full", type: "x", param: null, code: "busy" } },
      new Headers({ "retry-after": "3", "x-request-id": "r1" }),
    );
    expect(error).toMatchObject({ status: 429, message: "full", code: "busy", retryAfter: 3, requestId: "r1" });
    expect(adviceFor(error)).toContain("3 s");
  });

  it("are read from anything else too", () => {
    expect(toApiError(502, "<html>").message).toBe("The server answered 502.");
    expect(toApiError(502, null).status).toBe(502);
  });

  it.each([0, 400, 401, 404, 413, 415, 429, 500, 503])("status %d says what to do", (status) => {
    expect(adviceFor(new ApiError(status, "x"))).toMatch(/\w+ .*\./);
  });
});

describe("toSegments", () => {
  it("puts each word into one segment", () => {
    const segments = toSegments({
      text: "a b c",
      segments: [
        { start: 0, end: 2, text: " a b" },
        { start: 2, end: 3, text: " c", speaker: "B" },
      ],
      words: [
        { word: " a", start: 0, end: 1 },
        { word: " b", start: 1, end: 2.1 },
        { word: " c", start: 2.2, end: 3 },
      ],
    });
    expect(segments.map((s) => s.words.map((w) => w.text))).toEqual([["a", "b"], ["c"]]);
    expect(segments[1]).toMatchObject({ speaker: "B", text: "c" });
  });

  it("makes one segment of a text without any", () => {
    expect(toSegments({ text: " hi ", duration: 2 })).toEqual([
      { start: 0, end: 2, text: "hi", speaker: "", words: [] },
    ]);
    expect(toSegments({ text: "" })).toEqual([]);
  });
});
