// The API key, which never leaves the browser but to this server.
import { signal } from "@preact/signals";
import { remembered } from "./settings";

export const apiKey = remembered("key", "");

/** The dialog is shown while this is set. */
export const keyQuestion = signal<{ refused: boolean } | undefined>(undefined);

let waiting: ((entered: boolean) => void)[] = [];

/**
 * Asks for a key after the server refused one. False if none was entered.
 * All requests that are refused at once share one dialog.
 */
export function askForKey(refused: string): Promise<boolean> {
  if (apiKey.value !== refused) return Promise.resolve(true); // entered meanwhile
  keyQuestion.value ??= { refused: refused !== "" };
  return new Promise((resolve) => waiting.push(resolve));
}

export function answerKey(key: string | undefined): void {
  if (key !== undefined) apiKey.value = key;
  keyQuestion.value = undefined;
  waiting.forEach((resolve) => resolve(Boolean(key)));
  waiting = [];
}
