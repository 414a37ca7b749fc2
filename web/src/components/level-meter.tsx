// A line that moves with what is heard.
import { useRef } from "preact/hooks";
import { analyser } from "../audio/bus";
import { useFrames } from "./use-clock";

const bars = 24;

export function LevelMeter() {
  const box = useRef<HTMLSpanElement>(null);
  const spectrum = useRef(new Uint8Array(1024));
  useFrames(() => {
    const tap = analyser.peek();
    if (!tap || !box.current) return;
    tap.getByteFrequencyData(spectrum.current);
    [...box.current.children].forEach((bar, i) => {
      // Speech lies in the lower third of the bands.
      const value = spectrum.current[4 + i * 8]! / 255;
      (bar as HTMLElement).style.transform = `scaleY(${0.08 + 0.92 * value})`;
    });
  });
  return (
    <span class="level" ref={box} aria-hidden="true">
      {Array.from({ length: bars }, (_, i) => <i key={i} />)}
    </span>
  );
}
