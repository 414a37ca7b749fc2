// POST /v1/audio/enhancements and /v1/audio/separations.
import { bytesFromBase64 } from "../audio/pcm";
import { request } from "./client";

/** Speech without noise, as a WAV file. */
export async function enhance(
  file: Blob,
  name: string,
  model: string,
  signal: AbortSignal,
): Promise<ArrayBuffer> {
  const form = new FormData();
  form.set("file", file, name);
  if (model) form.set("model", model);
  form.set("response_format", "wav");
  const response = await request("/v1/audio/enhancements", { method: "POST", body: form, signal });
  return response.arrayBuffer();
}

/** What the description names, and the rest, as WAV files. */
export async function separate(
  file: Blob,
  name: string,
  model: string,
  description: string,
  signal: AbortSignal,
): Promise<{ target: ArrayBuffer; residual: ArrayBuffer }> {
  const form = new FormData();
  form.set("file", file, name);
  if (model) form.set("model", model);
  form.set("description", description);
  const response = await request("/v1/audio/separations", { method: "POST", body: form, signal });
  const answer = (await response.json()) as { target: string; residual: string };
  return {
    target: bytesFromBase64(answer.target).buffer,
    residual: bytesFromBase64(answer.residual).buffer,
  };
}
