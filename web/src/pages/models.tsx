import { signal } from "@preact/signals";
import {
  loadModel,
  models,
  pullModel,
  refreshModels,
  unloadModel,
  type Model,
  type PullEvent,
  type Task,
} from "../api/models";
import { isAbort } from "../api/client";
import { bytes, Empty, Field, Problem } from "../components/basics";
import { Icon, type IconName } from "../components/icons";

const working = signal<Record<string, string>>({}); // id to what is done
const error = signal<unknown>(undefined);
const pullName = signal("");
const pulling = signal<(PullEvent & { id: string }) | undefined>(undefined);
const pulled = signal("");
let pull: AbortController | undefined;

const tasks: Record<Task, { title: string; icon: IconName }> = {
  speech: { title: "Speech", icon: "speak" },
  transcription: { title: "Transcription", icon: "transcribe" },
  enhancement: { title: "Enhancement", icon: "clean" },
  separation: { title: "Separation", icon: "clean" },
};

const features: Record<string, string> = {
  voices: "voices",
  instructions: "instructions",
  reference: "clones a voice",
  word_timestamps: "word times",
  realtime: "live",
  languages: "many languages",
  translation: "translates",
  diarization: "speakers",
};

const loadedNow = (id: string) => models.value?.find((m) => m.id === id)?.loaded;

async function change(id: string, what: string, action: (id: string) => Promise<void>): Promise<void> {
  error.value = undefined;
  working.value = { ...working.value, [id]: what };
  try {
    await action(id);
    // A model leaves memory between two requests, so it may take a moment.
    const before = loadedNow(id);
    for (let tries = 0; tries < 20 && loadedNow(id) === before; ++tries) {
      if (tries > 0) await new Promise((done) => setTimeout(done, 250));
      await refreshModels();
    }
  } catch (failure) {
    error.value = failure;
  } finally {
    const { [id]: _, ...rest } = working.value;
    working.value = rest;
  }
}

async function startPull(): Promise<void> {
  const id = pullName.value.trim();
  if (!id) return;
  error.value = undefined;
  pulled.value = "";
  pull = new AbortController();
  pulling.value = { id, type: "model.pull.progress" };
  try {
    for await (const event of pullModel(id, pull.signal)) pulling.value = { id, ...event };
    pulled.value = id;
    pullName.value = "";
    await refreshModels();
  } catch (failure) {
    if (!isAbort(failure)) error.value = failure;
  } finally {
    pulling.value = undefined;
  }
}

export function ModelsPage() {
  const all = models.value;
  const used = (all ?? []).reduce((sum, m) => sum + m.memory_bytes, 0);
  const loaded = (all ?? []).filter((m) => m.loaded).length;
  return (
    <div class="models-page">
      <p class="lead">
        {all === undefined
          ? "Asking the server…"
          : `${all.length} installed, ${loaded} in memory${used > 0 ? `, which takes ${bytes(used)}` : ""}. A model is loaded when it is first used.`}
      </p>
      {error.value !== undefined && <Problem error={error.value} onClose={() => (error.value = undefined)} />}
      {all?.length === 0 && <Empty icon="models">No model is installed yet. Pull one below.</Empty>}
      {(Object.keys(tasks) as Task[]).map((task) => {
        const mine = (all ?? []).filter((m) => m.task === task);
        if (mine.length === 0) return null;
        return (
          <section key={task} aria-labelledby={`task-${task}`}>
            <h2 id={`task-${task}`} class="group"><Icon name={tasks[task].icon} size={18} /> {tasks[task].title}</h2>
            <ul class="model-list">{mine.map((m) => <ModelRow key={m.id} model={m} />)}</ul>
          </section>
        );
      })}
      <section class="card pull" aria-labelledby="pull-title">
        <h2 id="pull-title">Get a model</h2>
        <form
          class="options"
          onSubmit={(event) => {
            event.preventDefault();
            void startPull();
          }}
        >
          <Field label="Name on the Hub, or a short name">
            {(id) => (
              <input
                id={id}
                type="text"
                spellcheck={false}
                autocapitalize="off"
                placeholder="mlx-community/Kokoro-82M-bf16"
                value={pullName.value}
                onInput={(event) => (pullName.value = event.currentTarget.value)}
              />
            )}
          </Field>
          {pulling.value ? (
            <button type="button" class="button" onClick={() => pull?.abort()}><Icon name="stop" /> Stop</button>
          ) : (
            <button type="submit" class="button primary" disabled={!pullName.value.trim()}>
              <Icon name="download" /> Pull
            </button>
          )}
        </form>
        {pulling.value && <Progress event={pulling.value} />}
        {pulled.value && <p role="status"><Icon name="check" size={16} /> {pulled.value} is installed.</p>}
      </section>
    </div>
  );
}

function Progress({ event }: { event: PullEvent & { id: string } }) {
  const known = event.total_bytes ? (event.received_bytes ?? 0) / event.total_bytes : undefined;
  return (
    <div class="progress">
      <progress aria-label={`Download of ${event.id}`} max={1} {...(known !== undefined && { value: known })} />
      <span class="faint mono">
        {event.file ?? "…"} {event.received_bytes !== undefined && bytes(event.received_bytes)}
        {event.total_bytes ? ` of ${bytes(event.total_bytes)}` : ""}
      </span>
    </div>
  );
}

function ModelRow({ model }: { model: Model }) {
  const doing = working.value[model.id];
  return (
    <li class="model">
      <span class={model.loaded ? "dot on" : "dot"} aria-hidden="true" />
      <div class="model-text">
        <strong>{model.id}</strong>
        <span class="faint">
          {[model.architecture, model.size_bytes > 0 && `${bytes(model.size_bytes)} on disk`,
            model.loaded && (model.memory_bytes > 0 ? `${bytes(model.memory_bytes)} in memory` : "in memory")]
            .filter(Boolean).join(" · ")}
        </span>
        <span class="tags">
          {model.features.map((f) => <span key={f} class="tag">{features[f] ?? f.replace(/_/g, " ")}</span>)}
        </span>
      </div>
      <button
        type="button"
        class="button small"
        disabled={doing !== undefined}
        aria-label={`${model.loaded ? "Unload" : "Load"} ${model.id}`}
        onClick={() =>
          void change(model.id, model.loaded ? "Unloading" : "Loading", model.loaded ? unloadModel : loadModel)
        }
      >
        {doing !== undefined ? <><span class="spinner" /> {doing}…</> : model.loaded ? "Unload" : "Load"}
      </button>
    </li>
  );
}
