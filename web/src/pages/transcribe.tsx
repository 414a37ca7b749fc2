import { useEffect, useRef } from "preact/hooks";
import { modelsFor } from "../api/models";
import {
  DropZone,
  Field,
  IconButton,
  PlayButton,
  Problem,
  saveBlob,
  Select,
  Times,
} from "../components/basics";
import { Icon } from "../components/icons";
import { RecordTile } from "../components/record-tile";
import { Timeline } from "../components/timeline";
import { TranscriptEditor } from "../components/transcript-editor";
import {
  addFiles,
  canTranslate,
  captionError,
  captions,
  chooseModel,
  chosen,
  connected,
  current,
  hearsSpeech,
  language,
  live,
  peakRate,
  prompt,
  recordings,
  remove,
  retry,
  startLive,
  stopLive,
  transcriptionModel,
  translate,
  type Recording,
} from "../state/transcribing";
import { languageName, spokenLanguages } from "../text/language";
import { exportFormats, exportTranscript } from "../text/transcript";

export function TranscribePage() {
  const installed = modelsFor("transcription");
  return (
    <div class="transcribe-page">
      <div class="tiles">
        <DropZone
          title="Drop recordings here"
          text="or choose files: WAV, FLAC, MP3, M4A, Ogg, WebM"
          multiple
          onFiles={addFiles}
        />
        <RecordTile
          recorder={live.value}
          note="with live captions"
          onStart={() => void startLive()}
          onStop={stopLive}
        />
      </div>
      <div class="options">
        <Select
          label="Model"
          value={transcriptionModel.value?.id ?? ""}
          options={installed.map((m) => ({ value: m.id, label: m.id }))}
          onChange={chooseModel}
        />
        <Select
          label="Language"
          value={language.value}
          options={[
            { value: "", label: "Find out" },
            ...spokenLanguages.map((code) => ({ value: code, label: languageName(code) })),
          ]}
          onChange={(value) => (language.value = value)}
        />
        <Field label="Names and words to expect">
          {(id) => (
            <input
              id={id}
              type="text"
              placeholder="Kokoro, Grace Hopper"
              value={prompt.value}
              onInput={(event) => (prompt.value = event.currentTarget.value)}
            />
          )}
        </Field>
        {canTranslate.value && (
          <label class="check">
            <input
              type="checkbox"
              checked={translate.value}
              onChange={(event) => (translate.value = event.currentTarget.checked)}
            />
            Into English
          </label>
        )}
      </div>
      {captionError.value !== undefined && (
        <Problem
          error={captionError.value}
          onRetry={live.value ? undefined : () => void startLive()}
          onClose={() => (captionError.value = undefined)}
        />
      )}
      {(live.value || (captions.value.length > 0 && current.value?.progress !== "done")) && <Captions />}
      {recordings.value.length > 1 && <Queue />}
      {current.value && <RecordingCard key={current.value.id} recording={current.value} />}
    </div>
  );
}

function Captions() {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [captions.value]);
  const state = !live.value
    ? "Listening once more, for the time of each word…"
    : !connected.value
      ? "Connecting…"
      : hearsSpeech.value
        ? "Hearing speech"
        : "Listening";
  return (
    <section class="card captions" aria-label="Live captions">
      <span class="faint caption-state">
        <span class={hearsSpeech.value ? "dot on" : "dot"} /> {state}
      </span>
      <div class="caption-text" ref={box} aria-live="polite" tabIndex={0} role="log" aria-label="Captions">
        {captions.value.length === 0 && <span class="faint">Say something.</span>}
        {captions.value.map((caption) => (
          <span key={caption.item}>
            {caption.text} <span class="partial">{caption.pending}</span>{" "}
          </span>
        ))}
      </div>
    </section>
  );
}

function Queue() {
  return (
    <ul class="queue" aria-label="Recordings">
      {recordings.value.map((r) => (
        <li key={r.id}>
          <button
            type="button"
            class="queue-item"
            aria-current={r.id === chosen.value ? "true" : undefined}
            onClick={() => (chosen.value = r.id)}
          >
            {r.progress === "working" ? (
              <span class="spinner" />
            ) : (
              <Icon name={r.progress === "done" ? "check" : r.progress === "failed" ? "warning" : "file"} size={16} />
            )}
            <span class="ellipsis">{r.name}</span>
            <span class="unseen">, {r.progress}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function RecordingCard({ recording }: { recording: Recording }) {
  const { player, transcript, progress, peaks } = recording;
  const duration = transcript.duration || peaks.length / peakRate;
  const base = recording.name.replace(/\.[^.]+$/, "");
  return (
    <section class="card recording" aria-label={recording.name}>
      <div class="row">
        <PlayButton player={player} />
        <div class="grow recording-title">
          <strong class="ellipsis">{recording.name}</strong>
          <span>
            <Times player={player} duration={player.duration.value || duration} />
            {transcript.language && <span class="faint"> · {languageName(transcript.language)}</span>}
          </span>
        </div>
        <IconButton icon="close" label={`Close ${recording.name}`} onClick={() => remove(recording.id)} />
      </div>
      <Timeline player={player} peaks={peaks} rate={peakRate} label="Position in the recording" />
      {progress === "failed" && <Problem error={recording.error} onRetry={() => retry(recording.id)} />}
      {(progress === "working" || progress === "waiting") && (
        <div class="row faint" role="status">
          <span class="spinner" /> {progress === "working" ? "Transcribing…" : "Waiting for its turn…"}
        </div>
      )}
      {progress === "done" && transcript.segments.length === 0 && (
        <p class="faint">No speech was found in it.</p>
      )}
      {transcript.segments.length > 0 && (
        <>
          <TranscriptEditor recording={recording} />
          <div class="downloads">
            <Icon name="download" size={18} />
            <span class="faint">Export</span>
            {exportFormats.map((format) => (
              <button
                key={format}
                type="button"
                class="button small quiet"
                aria-label={`Export as ${format}`}
                onClick={() => saveBlob(exportTranscript(transcript, format), `${base}.${format}`)}
              >
                {format}
              </button>
            ))}
            <span class="grow" />
            <span class="faint wide-only">
              Click a word to jump there, type to correct. <kbd>Ctrl</kbd> <kbd>Enter</kbd> plays.
            </span>
          </div>
        </>
      )}
    </section>
  );
}
