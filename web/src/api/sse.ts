// Server-sent events over fetch.
import { toApiError } from "./client";

/** Splits text that arrives in pieces into the data of events. */
export class EventParser {
  private rest = "";
  private data: string[] = [];

  push(text: string): string[] {
    const events: string[] = [];
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.data.length > 0) events.push(this.data.join("\n"));
        this.data = [];
      } else if (line.startsWith("data:")) {
        this.data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
    return events;
  }
}

/** The JSON of each event until [DONE]. An error event is thrown. */
export async function* readEvents<T>(response: Response): AsyncGenerator<T> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      for (const data of parser.push(done ? "\n\n" : value)) {
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw toApiError(500, event);
        yield event as T;
      }
      if (done) return;
    }
  } finally {
    // Leaving early closes the connection, which cancels the work.
    reader.cancel().catch(() => undefined);
  }
}
