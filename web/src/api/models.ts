// Models: installed, loaded, pulled; and the server's health.
import { signal } from "@preact/signals";
import { postJson, request, requestJson } from "./client";
import { readEvents } from "./sse";

export type Task = "speech" | "transcription" | "enhancement" | "separation";

export interface Model {
  id: string;
  task: Task;
  loaded: boolean;
  architecture: string;
  size_bytes: number;
  memory_bytes: number;
  features: string[];
}

/** Undefined until the server has answered once. */
export const models = signal<Model[] | undefined>(undefined);

export async function refreshModels(): Promise<void> {
  const list = await requestJson<{ data: Partial<Model>[] }>("/v1/models");
  models.value = list.data.map((model) => ({
    id: model.id ?? "",
    task: model.task ?? "speech",
    loaded: model.loaded ?? false,
    architecture: model.architecture ?? "",
    size_bytes: model.size_bytes ?? 0,
    memory_bytes: model.memory_bytes ?? 0,
    features: model.features ?? [],
  }));
}

/** Waits for the first list, so that nothing is called missing before it came. */
export async function modelsAreKnown(): Promise<void> {
  if (models.value === undefined) await refreshModels();
}

export function modelsFor(task: Task): Model[] {
  return (models.value ?? []).filter((model) => model.task === task);
}

// Ids hold slashes, and the server takes them as they are.
const pathOf = (id: string) => `/v1/models/${id.split("/").map(encodeURIComponent).join("/")}`;

export async function loadModel(id: string): Promise<void> {
  await request(`${pathOf(id)}/load`, { method: "POST" });
}

export async function unloadModel(id: string): Promise<void> {
  await request(pathOf(id), { method: "DELETE" });
}

export interface PullEvent {
  type: "model.pull.progress" | "model.pull.done";
  file?: string;
  received_bytes?: number;
  total_bytes?: number;
}

export async function* pullModel(id: string, signal: AbortSignal): AsyncGenerator<PullEvent> {
  yield* readEvents<PullEvent>(await postJson("/v1/models/pull", { model: id }, signal));
}

export interface Health {
  status: string;
  version: string;
  queue_depth: number;
}

export function health(): Promise<Health> {
  return requestJson<Health>("/health");
}
