import { signal } from "@preact/signals";
import { Empty, IconButton } from "../components/basics";
import { Icon } from "../components/icons";
import { forget, forgetAll, history, type Entry } from "../state/history";
import { reopenSpeech } from "../state/speaking";
import { reopenTranscript } from "../state/transcribing";
import { clock } from "../text/transcript";

const sure = signal(false);

function reopen(entry: Entry): void {
  if (entry.kind === "speech") {
    reopenSpeech(entry);
    location.hash = "#/speak";
  } else {
    reopenTranscript(entry, entry.id);
    location.hash = "#/transcribe";
  }
}

function summary(entry: Entry): { title: string; detail: string } {
  if (entry.kind === "speech") {
    const seconds = entry.samples.length / entry.rate;
    return { title: entry.request.input, detail: `${entry.request.voice ?? entry.request.model} · ${clock(seconds)}` };
  }
  const { name, duration, segments } = entry.transcript;
  return { title: segments.map((s) => s.text).join(" ") || name, detail: `${name} · ${clock(duration)}` };
}

export function HistoryPage() {
  const entries = history.value;
  return (
    <div class="history-page">
      <div class="row wrap">
        <p class="lead grow">The last 50 things you made, kept in this browser only.</p>
        {entries.length > 0 &&
          (sure.value ? (
            <>
              <button type="button" class="button small quiet" onClick={() => (sure.value = false)}>Keep them</button>
              <button
                type="button"
                class="button small primary"
                onClick={() => {
                  sure.value = false;
                  void forgetAll();
                }}
              >
                Delete all
              </button>
            </>
          ) : (
            <button type="button" class="button small" onClick={() => (sure.value = true)}>
              <Icon name="trash" size={16} /> Delete all
            </button>
          ))}
      </div>
      {entries.length === 0 && <Empty icon="history">Nothing yet. What you make appears here.</Empty>}
      <ul class="history-list">
        {entries.map((entry) => {
          const { title, detail } = summary(entry);
          return (
            <li key={entry.id} class="history-item">
              <button type="button" class="history-open" onClick={() => reopen(entry)}>
                <Icon name={entry.kind === "speech" ? "speak" : "transcribe"} />
                <span class="history-text">
                  <span class="history-title">{title}</span>
                  <span class="faint">
                    {detail} · {new Date(entry.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}
                  </span>
                </span>
              </button>
              <IconButton icon="trash" label={`Delete “${title.slice(0, 40)}”`} onClick={() => void forget(entry.id)} />
            </li>
          );
        })}
      </ul>
    </div>
  );
}
