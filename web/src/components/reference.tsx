// A recording whose voice the model takes on: a file, or the microphone.
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { wavFile } from "../audio/pcm";
import { Recorder } from "../audio/recorder";
import { reference } from "../state/speaking";
import { clock } from "../text/transcript";
import { Field, IconButton, Problem } from "./basics";
import { Icon } from "./icons";

const rate = 24000;

export function ReferenceRecording() {
  const recorder = useRef<Recorder | undefined>(undefined);
  const recording = useSignal(false);
  const error = useSignal<unknown>(undefined);
  const keep = (audio: Blob, name: string) =>
    (reference.value = { audio, name, text: reference.value?.text ?? "" });

  const record = async () => {
    error.value = undefined;
    if (recording.value) {
      keep(wavFile(recorder.current!.stop(), rate), "recording.wav");
      recording.value = false;
      return;
    }
    recorder.current = new Recorder(rate);
    try {
      await recorder.current.start();
      recording.value = true;
    } catch (failure) {
      error.value = failure;
    }
  };

  return (
    <fieldset class="reference">
      <legend>Voice of a recording</legend>
      {reference.value ? (
        <div class="row chip">
          <Icon name="check" size={16} />
          <span class="grow ellipsis">{reference.value.name}</span>
          <IconButton icon="close" label="Remove the recording" onClick={() => (reference.value = undefined)} />
        </div>
      ) : (
        <div class="row">
          <label class="button small">
            <input
              type="file"
              class="unseen"
              accept="audio/*"
              onChange={(event) => {
                const file = event.currentTarget.files?.[0];
                if (file) keep(file, file.name);
              }}
            />
            <Icon name="upload" size={16} /> File
          </label>
          <button type="button" class={recording.value ? "button small live" : "button small"} onClick={() => void record()}>
            <Icon name={recording.value ? "stop" : "mic"} size={16} />
            {recording.value ? `Stop ${clock(recorder.current!.seconds.value)}` : "Record"}
          </button>
        </div>
      )}
      <p class="hint">3 to 15 seconds of one clear voice. Use only voices you may use.</p>
      {reference.value && (
        <Field label="What is said in it" hint="empty: what is heard">
          {(id) => (
            <textarea
              id={id}
              rows={2}
              value={reference.value!.text}
              onInput={(event) =>
                (reference.value = { ...reference.value!, text: event.currentTarget.value })
              }
            />
          )}
        </Field>
      )}
      {error.value !== undefined && <Problem error={error.value} onClose={() => (error.value = undefined)} />}
    </fieldset>
  );
}
