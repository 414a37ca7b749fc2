// A player's time as a signal, and a loop for pictures.
import { useSignal, useSignalEffect, type Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Transport } from "../audio/transport";

/** Calls before each frame that is drawn, while the component is there. */
export function useFrames(draw: () => void): void {
  useEffect(() => {
    let frame = requestAnimationFrame(function next() {
      draw();
      frame = requestAnimationFrame(next);
    });
    return () => cancelAnimationFrame(frame);
  });
}

/** Seconds, ten times a second while it plays. */
export function useClock(player: Transport): Signal<number> {
  const time = useSignal(player.time());
  useEffect(() => {
    time.value = player.time();
    const timer = setInterval(() => (time.value = player.time()), 100);
    return () => clearInterval(timer);
  }, [player]);
  useSignalEffect(() => {
    void player.playing.value;
    time.value = player.time();
  });
  return time;
}
