// Live captions: WebSocket /v1/realtime with OpenAI's transcription sessions.
import { base64FromBytes, int16FromSamples } from "../audio/pcm";
import { ApiError, toApiError } from "./client";
import { openSocket } from "./socket";

export const captionRate = 24000;

export interface CaptionEvents {
  ready(): void;
  /** All text of an utterance so far, and words that may still change. */
  caption(item: string, text: string, pending: string): void;
  speaking(now: boolean): void;
  failed(error: ApiError): void;
  closed(): void;
}

interface ServerEvent {
  type: string;
  item_id?: string;
  delta?: string;
  pending?: string;
  transcript?: string;
  error?: { message?: string };
}

const transcriptionEvent = "conversation.item.input_audio_transcription.";

export class CaptionSession {
  private readonly socket: WebSocket;
  private readonly partial = new Map<string, string>();
  private open = 0; // utterances without their final text
  private finishing?: ReturnType<typeof setTimeout>;

  constructor(
    private readonly model: string,
    private readonly language: string,
    private readonly events: CaptionEvents,
  ) {
    this.socket = openSocket("/v1/realtime", { intent: "transcription", model });
    let opened = false;
    this.socket.onopen = () => {
      opened = true;
      this.configure();
    };
    this.socket.onmessage = ({ data }) => this.receive(JSON.parse(data as string) as ServerEvent);
    this.socket.onclose = () => {
      clearTimeout(this.finishing);
      if (!opened) events.failed(new ApiError(0, "Live captions could not be opened."));
      events.closed();
    };
  }

  append(samples: Float32Array): void {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    const audio = base64FromBytes(new Uint8Array(int16FromSamples(samples).buffer));
    this.send({ type: "input_audio_buffer.append", audio });
  }

  /** Ends the last utterance, waits for its text, and closes. */
  finish(): void {
    this.send({ type: "input_audio_buffer.commit" });
    // Nothing may be left to transcribe; then no event comes.
    this.finishing = setTimeout(() => this.socket.close(), this.open > 0 ? 15_000 : 3_000);
  }

  close(): void {
    this.socket.close();
  }

  private configure(): void {
    const transcription: Record<string, string> = { model: this.model };
    if (this.language) transcription.language = this.language;
    this.send({
      type: "session.update",
      session: {
        type: "transcription",
        include: ["item.input_audio_transcription.pending"],
        audio: {
          input: {
            format: { type: "audio/pcm", rate: captionRate },
            transcription,
            turn_detection: { type: "server_vad", silence_duration_ms: 500 },
          },
        },
      },
    });
  }

  private send(event: object): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  private receive(event: ServerEvent): void {
    const item = event.item_id ?? "";
    switch (event.type) {
      case "session.updated":
        return this.events.ready();
      case "input_audio_buffer.speech_started":
        ++this.open;
        return this.events.speaking(true);
      case "input_audio_buffer.speech_stopped":
        return this.events.speaking(false);
      case `${transcriptionEvent}delta`: {
        const text = (this.partial.get(item) ?? "") + (event.delta ?? "");
        this.partial.set(item, text);
        return this.events.caption(item, text, event.pending ?? "");
      }
      case `${transcriptionEvent}completed`:
        this.partial.delete(item);
        this.open = Math.max(0, this.open - 1);
        this.events.caption(item, (event.transcript ?? "").trim(), "");
        if (this.finishing && this.open === 0) this.socket.close();
        return;
      case `${transcriptionEvent}failed`:
      case "error":
        // An empty last buffer is no failure.
        if (this.finishing) return this.open > 0 ? undefined : this.socket.close();
        return this.events.failed(toApiError(400, event));
    }
  }
}
