import { signal } from "@preact/signals";
import { isAbort } from "../api/client";
import { enhance, separate } from "../api/cleaning";
import { modelsFor, type Task } from "../api/models";
import { decodeMono } from "../audio/decode";
import { wavFile } from "../audio/pcm";
import { Peaks } from "../audio/peaks";
import { TracksPlayer } from "../audio/tracks-player";
import {
  Choice,
  DropZone,
  Field,
  PlayButton,
  Problem,
  saveBlob,
  Select,
  Times,
} from "../components/basics";
import { Icon } from "../components/icons";
import { RecordTile } from "../components/record-tile";
import { Timeline } from "../components/timeline";
import { aloud, recorder, setAloud, startTake, stopTake, take, takeError, type Take } from "../state/live-cleaning";
import { remembered } from "../state/settings";

/** Of the players; files of other rates are converted. */
const rate = 48000;

type Kind = Extract<Task, "enhancement" | "separation">;

const kind = remembered<Kind>("clean-kind", "enhancement");
const wishes = remembered<Record<string, string>>("clean-models", {});
const description = remembered("description", "speech");
const file = signal<File | undefined>(undefined);
const busy = signal(false);
const error = signal<unknown>(undefined);

interface Track {
  name: string;
  samples: Float32Array<ArrayBuffer>;
  peaks: Peaks;
}

const tracks = signal<Track[]>([]);
const player = signal<TracksPlayer | undefined>(undefined);
let running: AbortController | undefined;

function show(named: [string, Float32Array<ArrayBuffer>][]): void {
  const heard = player.value?.heard.value ?? 0;
  player.value?.close();
  tracks.value = named.map(([name, samples]) => ({ name, samples, peaks: Peaks.of(samples) }));
  player.value = new TracksPlayer(named.map(([, samples]) => samples), rate);
  player.value.heard.value = named.length > 1 ? Math.max(1, heard) : 0;
}

function showSpeech(mix: Float32Array<ArrayBuffer>, speech: Float32Array<ArrayBuffer>): void {
  const noise = mix.map((sample, i) => sample - (speech[i] ?? 0));
  show([["Mix", mix], ["Speech", speech], ["Noise", noise]]);
}

async function open(chosen: File): Promise<void> {
  error.value = undefined;
  file.value = chosen;
  try {
    show([["Mix", await decodeMono(await chosen.arrayBuffer(), rate)]]);
  } catch (failure) {
    file.value = undefined;
    error.value = failure;
  }
}

function modelFor(task: Kind): string {
  const all = modelsFor(task);
  return (all.find((m) => m.id === wishes.value[task]) ?? all[0])?.id ?? "";
}

async function run(): Promise<void> {
  const mix = tracks.value[0]?.samples;
  if (!file.value || !mix) return;
  const control = (running = new AbortController());
  error.value = undefined;
  busy.value = true;
  try {
    const { name } = file.value;
    const model = modelFor(kind.value);
    if (kind.value === "enhancement") {
      showSpeech(mix, await decodeMono(await enhance(file.value, name, model, control.signal), rate));
    } else {
      const wanted = description.value.trim();
      const parts = await separate(file.value, name, model, wanted, control.signal);
      const target = await decodeMono(parts.target, rate);
      const residual = await decodeMono(parts.residual, rate);
      show([["Mix", mix], ["Target", target], ["Residual", residual]]);
    }
  } catch (failure) {
    if (!isAbort(failure)) error.value = failure;
  } finally {
    busy.value = false;
    running = undefined;
  }
}

function record(): void {
  startTake(modelFor("enhancement"), rate, (mix, speech) => {
    file.value = new File([wavFile(mix, rate)], "recording.wav");
    showSpeech(mix, speech);
  });
}

export function CleanPage() {
  const installed = modelsFor(kind.value);
  const live = take.value !== undefined || (kind.value === "enhancement" && installed.length > 0);
  return (
    <div class="clean-page">
      <Choice<Kind>
        label="What to do"
        value={kind.value}
        options={[
          { value: "enhancement", label: "Enhance speech" },
          { value: "separation", label: "Separate sounds" },
        ]}
        onChange={(value) => (kind.value = value)}
      />
      <p class="lead">
        {kind.value === "enhancement"
          ? "Takes noise and room out of a recording of speech. Compare before and after while it plays."
          : "Takes one sound that you describe out of a mix, and keeps the rest beside it."}
      </p>
      <div class={live ? "tiles" : undefined}>
        <DropZone
          title={file.value ? file.value.name : "Drop a recording here"}
          text={file.value ? "Drop another to replace it" : "or choose a file: WAV, FLAC, MP3, M4A, Ogg, WebM"}
          filled={file.value !== undefined}
          onFiles={([chosen]) => void open(chosen!)}
        />
        {live && (
          <RecordTile
            recorder={recorder.value}
            note="cleaned while you speak"
            disabled={take.value !== undefined && recorder.value === undefined}
            onStart={record}
            onStop={stopTake}
          />
        )}
      </div>
      <div class="options">
        {installed.length > 0 ? (
          <Select
            label="Model"
            value={modelFor(kind.value)}
            options={installed.map((m) => ({ value: m.id, label: m.id }))}
            onChange={(id) => (wishes.value = { ...wishes.value, [kind.value]: id })}
          />
        ) : (
          <p class="note">
            <Icon name="warning" size={18} />
            {kind.value === "enhancement"
              ? "No enhancement model is installed."
              : "This server has no separation model."}{" "}
            <a href="#/models">Models</a>
          </p>
        )}
        {kind.value === "separation" && (
          <Field label="Sound to take out">
            {(id) => (
              <input
                id={id}
                type="text"
                placeholder="a dog barking"
                value={description.value}
                onInput={(event) => (description.value = event.currentTarget.value)}
              />
            )}
          </Field>
        )}
        {busy.value ? (
          <button type="button" class="button primary" onClick={() => running?.abort()}>
            <Icon name="stop" /> Stop
          </button>
        ) : (
          <button type="button" class="button primary" disabled={!file.value} onClick={() => void run()}>
            <Icon name="clean" /> {kind.value === "enhancement" ? "Enhance" : "Separate"}
          </button>
        )}
        {busy.value && <span class="faint" role="status"><span class="spinner" /> Working…</span>}
        {live && (
          <label class="check">
            <input
              type="checkbox"
              checked={aloud.value}
              onChange={(event) => setAloud(event.currentTarget.checked)}
            />
            Hear it while recording (use headphones)
          </label>
        )}
      </div>
      {take.value && <LiveTake take={take.value} />}
      {takeError.value !== undefined && (
        <Problem error={takeError.value} onRetry={record} onClose={() => (takeError.value = undefined)} />
      )}
      {error.value !== undefined && (
        <Problem
          error={error.value}
          onRetry={file.value ? () => void run() : undefined}
          onClose={() => (error.value = undefined)}
        />
      )}
      {player.value && !take.value && <Tracks player={player.value} />}
    </div>
  );
}

function LiveTake({ take: { player, peaks, latency } }: { take: Take }) {
  const state = latency === undefined
    ? "Connecting…"
    : recorder.value
      ? `Cleaning, ${latency.toFixed(1)} s behind`
      : "Finishing…";
  return (
    <section class="card tracks" aria-label="Live recording">
      <span class="faint" role="status">{state}</span>
      <Timeline player={player} peaks={peaks} rate={rate} label="Position, cleaned so far" />
    </section>
  );
}

function Tracks({ player }: { player: TracksPlayer }) {
  const loudest = Math.max(0.05, ...tracks.value.map((track) => track.peaks.loudest));
  const name = (file.value?.name ?? "audio").replace(/\.[^.]+$/, "");
  return (
    <section
      class="card tracks"
      aria-label="Tracks"
      onKeyDown={(event) => {
        const index = Number(event.key) - 1;
        if (index >= 0 && index < tracks.value.length) player.heard.value = index;
      }}
    >
      <div class="row">
        <PlayButton player={player} />
        <Times player={player} />
        <span class="grow" />
        {tracks.value.length > 1 && (
          <span class="faint wide-only">Keys <kbd>1</kbd> <kbd>2</kbd> <kbd>3</kbd> switch while it plays</span>
        )}
      </div>
      {tracks.value.map((track, index) => {
        const heard = player.heard.value === index;
        return (
          <div key={track.name} class={heard ? "track heard" : "track"}>
            <button
              type="button"
              class="track-name"
              aria-pressed={heard}
              onClick={() => (player.heard.value = index)}
            >
              <span class="dot" /> {track.name}
            </button>
            <Timeline
              player={player}
              peaks={track.peaks}
              rate={rate}
              label={`Position, ${track.name}`}
              gain={Math.max(track.peaks.loudest, 0.05) / loudest}
            />
            <button
              type="button"
              class="icon-button"
              aria-label={`Download ${track.name}`}
              title={`Download ${track.name}`}
              onClick={() => saveBlob(wavFile(track.samples, rate), `${name}-${track.name.toLowerCase()}.wav`)}
            >
              <Icon name="download" size={18} />
            </button>
          </div>
        );
      })}
    </section>
  );
}
