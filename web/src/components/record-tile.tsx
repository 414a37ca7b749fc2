// A large button that records from the microphone.
import type { Recorder } from "../audio/recorder";
import { clock } from "../text/transcript";
import { Icon } from "./icons";
import { LevelMeter } from "./level-meter";

interface RecordTileProps {
  /** That which runs. */
  recorder: Recorder | undefined;
  note: string;
  disabled?: boolean;
  onStart: () => void;
  onStop: () => void;
}

export function RecordTile({ recorder, note, disabled = false, onStart, onStop }: RecordTileProps) {
  return (
    <div class={recorder ? "record-tile live" : "record-tile"}>
      <button
        type="button"
        class="record-button"
        aria-label={recorder ? "Stop recording" : "Record from the microphone"}
        disabled={disabled}
        onClick={recorder ? onStop : onStart}
      >
        <Icon name={recorder ? "stop" : "mic"} size={28} />
      </button>
      <strong>{recorder ? <span class="mono">{clock(recorder.seconds.value)}</span> : "Record"}</strong>
      {recorder ? <LevelMeter /> : <span>{note}</span>}
    </div>
  );
}
