// A waveform or spectrogram that shows where a player is, and seeks.
import { useRef } from "preact/hooks";
import type { Peaks } from "../audio/peaks";
import { bands, type Spectrum } from "../audio/spectrum";
import type { Transport } from "../audio/transport";
import { clock } from "../text/transcript";
import { fitCanvas } from "./canvas";
import { useClock, useFrames } from "./use-clock";

interface Look {
  accent: string; // what was played
  quiet: string; // what comes
}

function lookOf(element: Element): Look {
  const style = getComputedStyle(element);
  const get = (name: string) => style.getPropertyValue(name).trim();
  return { accent: get("--wave"), quiet: get("--wave-rest") };
}

function drawWave(
  canvas: HTMLCanvasElement,
  look: Look,
  peaks: Peaks,
  frames: number,
  played: number,
  gain: number,
): void {
  const { width, height } = canvas;
  const context = canvas.getContext("2d")!;
  context.clearRect(0, 0, width, height);
  const ratio = width / Math.max(1, canvas.clientWidth);
  const bar = Math.max(1, Math.round(2 * ratio));
  const pitch = Math.round(3.5 * ratio);
  const count = Math.floor(width / pitch);
  const scale = ((height / 2 - bar) / Math.max(peaks.loudest, 0.05)) * gain;
  for (let i = 0; i < count; ++i) {
    const tall =
      peaks.magnitude((i * frames) / count, ((i + 1) * frames) / count) * scale;
    const half = Math.max(bar / 2, Math.min(height / 2, tall));
    context.fillStyle = i / count < played ? look.accent : look.quiet;
    context.beginPath();
    context.roundRect(i * pitch, height / 2 - half, bar, 2 * half, bar / 2);
    context.fill();
  }
}

/** Colours of 0..255, from night to daylight. */
function palette(): Uint8ClampedArray {
  const canvas = new OffscreenCanvas(256, 1);
  const context = canvas.getContext("2d")!;
  const gradient = context.createLinearGradient(0, 0, 256, 0);
  const dark = ["#120d16", "#3a1238", "#8f1d3d", "#e2531b", "#ffb14a", "#fff4d6"];
  dark.forEach((color, i) => gradient.addColorStop(i / (dark.length - 1), color));
  context.fillStyle = gradient;
  context.fillRect(0, 0, 256, 1);
  return context.getImageData(0, 0, 256, 1).data;
}

let colors: Uint8ClampedArray | undefined;

function drawSpectrum(canvas: HTMLCanvasElement, spectrum: Spectrum, played: number): void {
  colors ??= palette();
  const { width, height } = canvas;
  const context = canvas.getContext("2d")!;
  const columns = spectrum.columns.length;
  if (columns === 0) return context.clearRect(0, 0, width, height);
  const shown = Math.min(columns, width);
  const image = new ImageData(shown, bands);
  for (let x = 0; x < shown; ++x) {
    const column = spectrum.columns[Math.floor((x * columns) / shown)]!;
    for (let band = 0; band < bands; ++band) {
      const at = 4 * ((bands - 1 - band) * shown + x);
      const value = column[band]! * 4;
      image.data[at] = colors[value]!;
      image.data[at + 1] = colors[value + 1]!;
      image.data[at + 2] = colors[value + 2]!;
      image.data[at + 3] = 255;
    }
  }
  const scratch = new OffscreenCanvas(shown, bands);
  scratch.getContext("2d")!.putImageData(image, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(scratch, 0, 0, width, height);
  context.fillStyle = "#ffffff";
  context.fillRect(Math.round(played * (width - 2)), 0, 2, height);
}

interface TimelineProps {
  player: Transport;
  peaks: Peaks;
  spectrum?: Spectrum | undefined;
  rate: number;
  label: string;
  /** Shares one vertical scale with other waveforms. */
  gain?: number;
}

export function Timeline({ player, peaks, spectrum, rate, label, gain = 1 }: TimelineProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawn = useRef("");
  const time = useClock(player);
  const length = () => Math.max(player.duration.value, peaks.length / rate, 0.001);

  useFrames(() => {
    const target = canvas.current;
    if (!target || !fitCanvas(target)) return;
    const played = player.time() / length();
    const look = lookOf(target);
    const state = [
      target.width, target.height, peaks.length, Math.round(played * target.width),
      look.accent, look.quiet, Boolean(spectrum), gain,
    ].join();
    if (state === drawn.current) return;
    drawn.current = state;
    if (spectrum) drawSpectrum(target, spectrum, played);
    else drawWave(target, look, peaks, length() * rate, played, gain);
  });

  const seekTo = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    player.seek(Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * length());
  };
  const keys: Record<string, (now: number) => number> = {
    ArrowLeft: (now) => now - 2,
    ArrowDown: (now) => now - 2,
    ArrowRight: (now) => now + 2,
    ArrowUp: (now) => now + 2,
    PageDown: (now) => now - 10,
    PageUp: (now) => now + 10,
    Home: () => 0,
    End: () => length(),
  };
  return (
    <div
      class={spectrum ? "timeline timeline-spectrum" : "timeline"}
      role="slider"
      tabIndex={0}
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={Math.round(length() * 10) / 10}
      aria-valuenow={Math.round(time.value * 10) / 10}
      aria-valuetext={`${clock(time.value)} of ${clock(length())}`}
      onPointerDown={(event) => {
        (event.currentTarget as Element).setPointerCapture(event.pointerId);
        seekTo(event);
      }}
      onPointerMove={(event) => {
        if (event.buttons & 1) seekTo(event);
      }}
      onKeyDown={(event) => {
        const key = keys[event.key];
        if (!key) return;
        event.preventDefault();
        player.seek(Math.max(0, Math.min(length(), key(player.time()))));
      }}
    >
      <canvas ref={canvas} />
    </div>
  );
}
