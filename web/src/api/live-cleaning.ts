// Live enhancement: WebSocket /v1/audio/enhancements/realtime.
import { ApiError, toApiError } from "./client";
import { openSocket } from "./socket";

export interface CleaningEvents {
  /** The server listens; results come this many seconds later. */
  ready(latency: number): void;
  cleaned(samples: Float32Array<ArrayBuffer>): void;
  failed(error: ApiError): void;
  closed(): void;
}

interface ServerMessage {
  type: string;
  latency_seconds?: number;
}

export class CleaningSession {
  private readonly socket: WebSocket;
  private ended = false; // as it should

  constructor(model: string, rate: number, events: CleaningEvents) {
    this.socket = openSocket("/v1/audio/enhancements/realtime");
    this.socket.binaryType = "arraybuffer";
    let opened = false;
    this.socket.onopen = () => {
      opened = true;
      this.send(JSON.stringify({ model, sample_rate: rate, format: "f32" }));
    };
    this.socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (typeof data !== "string") return events.cleaned(new Float32Array(data));
      const message = JSON.parse(data) as ServerMessage;
      if (message.type === "session.done") this.ended = true;
      if (message.type === "session.created") events.ready(message.latency_seconds ?? 0);
      if (message.type === "error") {
        events.failed(toApiError(400, message));
        this.close();
      }
    };
    this.socket.onclose = () => {
      if (!this.ended) {
        events.failed(new ApiError(0, opened ? "The connection was lost." : "Live cleaning could not be opened."));
      }
      events.closed();
    };
  }

  append(samples: Float32Array<ArrayBuffer>): void {
    this.send(samples);
  }

  /** The rest comes, then closed(). */
  finish(): void {
    this.send(JSON.stringify({ action: "stop" }));
  }

  close(): void {
    this.ended = true;
    this.socket.close();
  }

  private send(message: string | Float32Array<ArrayBuffer>): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(message);
  }
}
