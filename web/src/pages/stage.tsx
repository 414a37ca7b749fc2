// The sound in three dimensions. Loaded when it is first opened.
import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { analyser, sounding } from "../audio/bus";
import { Recorder } from "../audio/recorder";
import { IconButton, PlayButton, Problem, Times } from "../components/basics";
import { Globe } from "../components/globe";

const microphone = signal<Recorder | undefined>(undefined);

function stopMicrophone(): void {
  microphone.value?.stop();
  microphone.value = undefined;
}

export default function StagePage() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const globe = useRef<Globe | undefined>(undefined);
  const error = useSignal<unknown>(undefined);

  useEffect(() => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const spectrum = new Uint8Array(1024);
    let frame = 0;
    try {
      const made = (globe.current = new Globe(canvas.current!));
      frame = requestAnimationFrame(function next(now) {
        const tap = analyser.peek();
        if (tap) tap.getByteFrequencyData(spectrum);
        if (!still) made.yaw += 0.0025;
        made.draw(spectrum, still ? 0 : now / 1000);
        frame = requestAnimationFrame(next);
      });
    } catch (failure) {
      error.value = failure;
    }
    return () => {
      cancelAnimationFrame(frame);
      globe.current?.close();
      stopMicrophone();
    };
  }, []);

  const listen = async () => {
    error.value = undefined;
    if (microphone.value) return stopMicrophone();
    const recorder = new Recorder(48000, undefined, { keeps: false });
    try {
      await recorder.start();
      microphone.value = recorder;
    } catch (failure) {
      error.value = failure;
    }
  };
  const turn = (yaw: number, pitch: number) => {
    const shown = globe.current;
    if (!shown) return;
    shown.yaw += yaw;
    shown.pitch = Math.max(-1.3, Math.min(1.3, shown.pitch + pitch));
  };
  const keys: Record<string, [number, number]> = {
    ArrowLeft: [-0.1, 0],
    ArrowRight: [0.1, 0],
    ArrowUp: [0, -0.1],
    ArrowDown: [0, 0.1],
  };
  const player = sounding.value;
  return (
    <div class="stage" ref={box}>
      <canvas
        ref={canvas}
        role="img"
        tabIndex={0}
        aria-label="A globe that moves with the sound. Arrow keys turn it."
        onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={(event) => {
          if (event.buttons & 1) turn(event.movementX / 200, event.movementY / 200);
        }}
        onKeyDown={(event) => {
          const key = keys[event.key];
          if (!key) return;
          event.preventDefault();
          turn(...key);
        }}
      />
      <div class="stage-bar">
        {player ? (
          <>
            <PlayButton player={player} />
            <Times player={player} />
          </>
        ) : (
          <span>{microphone.value ? "Listening to the microphone" : "Play something, or use the microphone"}</span>
        )}
        <IconButton
          icon={microphone.value ? "stop" : "mic"}
          label={microphone.value ? "Stop the microphone" : "Use the microphone"}
          onClick={() => void listen()}
        />
        <IconButton
          icon="expand"
          label="Full screen"
          onClick={() => {
            if (document.fullscreenElement) void document.exitFullscreen();
            else void box.current?.requestFullscreen();
          }}
        />
      </div>
      {error.value !== undefined && (
        <div class="stage-problem"><Problem error={error.value} onClose={() => (error.value = undefined)} /></div>
      )}
    </div>
  );
}
