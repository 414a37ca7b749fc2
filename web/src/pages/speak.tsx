import { useComputed, useSignal } from "@preact/signals";
import { speechFile, speechFormats, type SpeechFormat } from "../api/speech";
import { concat, wavFile } from "../audio/pcm";
import { Choice, Field, PlayButton, Problem, saveBlob, Select, Times } from "../components/basics";
import { Icon } from "../components/icons";
import { Reading } from "../components/reading";
import { ReferenceRecording } from "../components/reference";
import { Timeline } from "../components/timeline";
import { VoiceList } from "../components/voice-list";
import { modelsFor } from "../api/models";
import { remembered } from "../state/settings";
import {
  chooseModel,
  draft,
  instructions,
  language,
  noSpeechModel,
  speak,
  speakError,
  speechModel,
  speed,
  starting,
  stopSpeaking,
  take,
  voice,
  voices,
  type Take,
} from "../state/speaking";
import { languageName, spokenLanguages } from "../text/language";
import { partLimit } from "../text/parts";

const picture = remembered<"wave" | "spectrum">("picture", "wave");

export function SpeakPage() {
  return (
    <div class="speak-page">
      <section class="speak-main" aria-label="Text">
        <Sheet />
        {speakError.value !== undefined && (
          <Problem
            error={speakError.value}
            onRetry={() => void speak()}
            onClose={() => (speakError.value = undefined)}
          />
        )}
        {take.value && <TakeCard key={take.value.request.seed} take={take.value} />}
      </section>
      <Settings />
    </div>
  );
}

function Sheet() {
  const busy = useComputed(() => starting.value || (take.value?.busy.value ?? false));
  const empty = draft.value.trim() === "";
  return (
    <div class="sheet">
      <label class="unseen" for="draft">Text to speak</label>
      <textarea
        id="draft"
        class="draft"
        placeholder="Write or paste something to hear…"
        value={draft.value}
        onInput={(event) => (draft.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !empty) void speak();
        }}
      />
      <div class="sheet-foot">
        {busy.value ? (
          <button type="button" class="button primary" onClick={stopSpeaking}>
            <Icon name="stop" /> Stop
          </button>
        ) : (
          <button
            type="button"
            class="button primary"
            disabled={empty || noSpeechModel.value}
            onClick={() => void speak()}
          >
            <Icon name="speak" /> Speak
          </button>
        )}
        <span class="faint wide-only"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span>
        <span class="grow" />
        <span class="faint" role="status">
          {starting.value ? "Preparing…" : busy.value ? "Speaking…" : ""}
        </span>
        <span class="faint mono">{draft.value.length.toLocaleString("en")}</span>
      </div>
    </div>
  );
}

function TakeCard({ take }: { take: Take }) {
  const latency = take.latency.value;
  return (
    <div class="card take">
      <div class="row">
        <PlayButton player={take.player} />
        <Times player={take.player} />
        <span class="grow" />
        {latency !== undefined && (
          <span class="faint wide-only">first sound after {(latency / 1000).toFixed(2)} s</span>
        )}
        <Choice
          label="Picture"
          value={picture.value}
          options={[
            { value: "wave", label: "Wave" },
            { value: "spectrum", label: "Spectrum" },
          ]}
          onChange={(value) => (picture.value = value)}
        />
      </div>
      <Timeline
        player={take.player}
        peaks={take.peaks}
        spectrum={picture.value === "spectrum" ? take.spectrum : undefined}
        rate={take.player.rate}
        label="Position in the speech"
      />
      <Reading text={take.text} words={take.words} player={take.player} />
      <Downloads take={take} />
    </div>
  );
}

function Downloads({ take }: { take: Take }) {
  const making = useSignal<SpeechFormat | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const save = async (format: SpeechFormat) => {
    error.value = undefined;
    const name = `speech.${format}`;
    if (format === "wav") {
      return saveBlob(wavFile(concat(take.pieces), take.player.rate), name);
    }
    making.value = format;
    try {
      saveBlob(await speechFile(take.request, format), name);
    } catch (failure) {
      error.value = failure;
    } finally {
      making.value = undefined;
    }
  };
  // Other formats are made by the server, of one request.
  const whole = take.text.length <= partLimit && !take.busy.value;
  return (
    <div class="downloads">
      <Icon name="download" size={18} />
      <span class="faint">Download</span>
      {speechFormats.map((format) => (
        <button
          key={format}
          type="button"
          class="button small quiet"
          aria-label={`Download as ${format}`}
          disabled={making.value !== undefined || (format !== "wav" && !whole)}
          onClick={() => void save(format)}
        >
          {making.value === format ? <span class="spinner" /> : format}
        </button>
      ))}
      {error.value !== undefined && <Problem error={error.value} onClose={() => (error.value = undefined)} />}
    </div>
  );
}

function Settings() {
  const model = speechModel.value;
  const has = (feature: string) => model?.features.includes(feature) ?? false;
  const languages = useComputed(() => {
    const codes = new Set((voices.value ?? []).map((v) => v.language).filter(Boolean));
    if (codes.size === 0 && has("languages")) spokenLanguages.forEach((code) => codes.add(code));
    return [...codes].map((code) => ({ value: code, label: languageName(code) }));
  });
  if (noSpeechModel.value) {
    return (
      <aside class="settings" aria-label="Voice settings">
        <p>No speech model is installed. <a href="#/models">Get one on the Models page.</a></p>
      </aside>
    );
  }
  return (
    <aside class="settings" aria-label="Voice settings">
      <Select
        label="Model"
        value={model?.id ?? ""}
        options={modelsFor("speech").map((m) => ({ value: m.id, label: m.id }))}
        onChange={chooseModel}
      />
      <VoiceList />
      {has("reference") && <ReferenceRecording />}
      {has("instructions") && (
        <Field label="How to speak">
          {(id) => (
            <textarea
              id={id}
              rows={2}
              placeholder="Warm and slow, with a smile"
              value={instructions.value}
              onInput={(event) => (instructions.value = event.currentTarget.value)}
            />
          )}
        </Field>
      )}
      <Field label="Speed" hint={`${speed.value.toFixed(2)} ×`}>
        {(id) => (
          <input
            id={id}
            type="range"
            min="0.25"
            max="4"
            step="0.05"
            value={speed.value}
            onInput={(event) => (speed.value = Number(event.currentTarget.value))}
          />
        )}
      </Field>
      {languages.value.length > 1 && (
        <Select
          label="Language"
          value={language.value}
          options={[{ value: "", label: voice.value ? "As the voice" : "As the text" }, ...languages.value]}
          onChange={(value) => (language.value = value)}
        />
      )}
    </aside>
  );
}
