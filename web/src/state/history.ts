// What was made, in the browser's own database: nothing is sent anywhere.
import { signal } from "@preact/signals";
import type { SpeechRequest, Word } from "../api/speech";
import type { Transcript } from "../text/transcript";

export interface SpeechEntry {
  kind: "speech";
  request: SpeechRequest;
  words: Word[];
  rate: number;
  samples: Float32Array;
}

export interface TranscriptEntry {
  kind: "transcript";
  transcript: Transcript;
  audio: Blob;
}

export type Entry = { id: number; at: number } & (SpeechEntry | TranscriptEntry);
export type NewEntry = SpeechEntry | TranscriptEntry;

/** Newest first. */
export const history = signal<Entry[]>([]);

/** Older ones make room. */
const limit = 50;

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

let database: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open("mlx-audio", 1);
  request.onupgradeneeded = () =>
    request.result.createObjectStore("entries", { keyPath: "id", autoIncrement: true });
  return done(request);
}

async function store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  const opened = await (database ??= open());
  return opened.transaction("entries", mode).objectStore("entries");
}

export async function loadHistory(): Promise<void> {
  const entries = await done((await store("readonly")).getAll() as IDBRequest<Entry[]>);
  history.value = entries.reverse();
}

/** Adds an entry; gives its id, or 0 if the browser keeps nothing. */
export async function remember(entry: NewEntry): Promise<number> {
  try {
    const dated = { ...entry, at: Date.now() };
    const id = Number(await done((await store("readwrite")).add(dated)));
    history.value = [{ ...dated, id }, ...history.value];
    for (const old of history.value.slice(limit)) await forget(old.id);
    return id;
  } catch {
    return 0; // private windows and full disks
  }
}

export async function rewrite(id: number, entry: NewEntry): Promise<void> {
  const old = history.value.find((e) => e.id === id);
  if (!old) return;
  const changed = { ...entry, id, at: old.at };
  history.value = history.value.map((e) => (e.id === id ? changed : e));
  await done((await store("readwrite")).put(changed)).catch(() => undefined);
}

/** Once what was done to the store is there to stay. */
function committed(store: IDBObjectStore): Promise<void> {
  return new Promise((resolve, reject) => {
    store.transaction.oncomplete = () => resolve();
    store.transaction.onabort = () => reject(store.transaction.error);
  });
}

// The page shows what is gone only when it is: a reload must not bring it back.

export async function forget(id: number): Promise<void> {
  const entries = await store("readwrite");
  entries.delete(id);
  await committed(entries);
  history.value = history.value.filter((e) => e.id !== id);
}

export async function forgetAll(): Promise<void> {
  const entries = await store("readwrite");
  entries.clear();
  await committed(entries);
  history.value = [];
}
