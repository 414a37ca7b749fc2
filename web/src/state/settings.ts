// What the browser remembers between visits.
import { effect, signal, type Signal } from "@preact/signals";

/** A signal whose value lives in local storage. */
export function remembered<T>(name: string, initial: T): Signal<T> {
  const key = `mlx-audio.${name}`;
  let value = initial;
  try {
    const stored = localStorage.getItem(key);
    if (stored !== null) value = JSON.parse(stored) as T;
  } catch {
    // Storage is closed or holds something foreign: begin anew.
  }
  const state = signal(value);
  effect(() => {
    try {
      localStorage.setItem(key, JSON.stringify(state.value));
    } catch {
      // Nothing is lost but the memory of it.
    }
  });
  return state;
}

export type Theme = "system" | "light" | "dark";
export const theme = remembered<Theme>("theme", "system");

/** Sets the page's colours to the theme, now and whenever it changes. */
export function followTheme(): void {
  effect(() => {
    if (theme.value === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
  });
}
