// What all players have in common, for the controls and the pictures.
import type { ReadonlySignal } from "@preact/signals";

export interface Transport {
  readonly playing: ReadonlySignal<boolean>;
  /** Seconds that are there to be played. */
  readonly duration: ReadonlySignal<number>;
  /** Seconds, as heard now. */
  time(): number;
  play(): void;
  pause(): void;
  seek(seconds: number): void;
}

export function toggle(player: Transport): void {
  if (player.playing.value) player.pause();
  else player.play();
}
