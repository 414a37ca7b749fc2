// Requests to the server: the key, errors in OpenAI's shape, and what a person
// can do about each.
import { apiKey, askForKey } from "../state/key";

export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 if there was no answer at all. */
    readonly status: number,
    message: string,
    readonly param: string | null = null,
    readonly code: string | null = null,
    /** Seconds after which trying again makes sense. */
    readonly retryAfter: number | null = null,
    readonly requestId: string | null = null,
  ) {
    super(message);
  }
}

/** What to do about an error, in a sentence. */
export function adviceFor(error: unknown): string {
  if (error instanceof DOMException) {
    switch (error.name) {
      case "NotAllowedError":
        return "Allow the microphone for this page in the browser's address bar, then try again.";
      case "NotFoundError":
        return "Connect a microphone, then try again.";
      case "EncodingError":
        return "The browser cannot read this file. Convert it to WAV, FLAC or MP3.";
    }
  }
  if (!(error instanceof ApiError)) return "Try again; if it stays, reload the page.";
  if (error.param === "file" && [400, 415, 422].includes(error.status)) {
    return "Use a recording as WAV, FLAC, MP3, M4A, Ogg or WebM.";
  }
  switch (error.status) {
    case 0:
      return "Start the server with “mlx-audio serve”, then try again.";
    case 401:
    case 403:
      return "Enter a valid API key, with the key button at the top.";
    case 404:
      return error.param === "model"
        ? "Choose another model, or pull this one on the Models page."
        : "The page and the server may be of different versions: reload the page.";
    case 413:
      return "Shorten the text, or cut the recording into parts.";
    case 415:
      return "Send it in another format.";
    case 429:
      return error.retryAfter
        ? `The server is busy. Try again in ${Math.ceil(error.retryAfter)} s.`
        : "The server is busy. Try again in a moment.";
    case 503:
      return "The server is stopping or starting. Try again in a moment.";
  }
  if (error.status >= 500) return "The server's log says more, under the request's id.";
  return "Change the marked setting and try again.";
}

/** OpenAI's error object as an ApiError. */
export function toApiError(status: number, body: unknown, headers?: Headers): ApiError {
  const detail = (body as { error?: Record<string, unknown> } | null)?.error;
  const text = (value: unknown) => (typeof value === "string" ? value : null);
  const retry = Number(headers?.get("retry-after") ?? NaN);
  return new ApiError(
    status,
    text(detail?.message) ?? `The server answered ${status}.`,
    text(detail?.param),
    text(detail?.code),
    Number.isFinite(retry) ? retry : null,
    headers?.get("x-request-id") ?? null,
  );
}

/** fetch with the key. Asks for one if the server wants it, and tries again. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  for (;;) {
    const key = apiKey.value;
    const headers = new Headers(init.headers);
    if (key) headers.set("authorization", `Bearer ${key}`);
    let response: Response;
    try {
      response = await fetch(path, { ...init, headers });
    } catch (error) {
      if ((error as Error).name === "AbortError") throw error;
      throw new ApiError(0, "The server does not answer.");
    }
    if (response.ok) return response;
    const error = toApiError(
      response.status,
      await response.json().catch(() => null),
      response.headers,
    );
    if (response.status !== 401 || !(await askForKey(key))) throw error;
  }
}

export async function requestJson<T>(path: string, init?: RequestInit): Promise<T> {
  return (await request(path, init)).json() as Promise<T>;
}

export function postJson(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  return request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: signal ?? null,
  });
}

export function isAbort(error: unknown): boolean {
  return (error as Error | null)?.name === "AbortError";
}
