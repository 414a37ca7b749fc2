// The frame around the pages.
import { signal, useSignalEffect } from "@preact/signals";
import { lazy, Suspense } from "preact/compat";
import { useEffect, useRef } from "preact/hooks";
import { health, refreshModels, type Health } from "./api/models";
import { IconButton } from "./components/basics";
import { Icon, type IconName } from "./components/icons";
import { KeyDialog } from "./components/key-dialog";
import { CleanPage } from "./pages/clean";
import { HistoryPage } from "./pages/history";
import { ModelsPage } from "./pages/models";
import { SpeakPage } from "./pages/speak";
import { TranscribePage } from "./pages/transcribe";
import { loadHistory } from "./state/history";
import { apiKey, keyQuestion } from "./state/key";
import { theme, type Theme } from "./state/settings";
import { refreshVoices, speechModelId } from "./state/speaking";

const StagePage = lazy(() => import("./pages/stage"));

interface Page {
  path: string;
  title: string;
  icon: IconName;
  heading: string;
  view: () => preact.JSX.Element;
}

const pages: Page[] = [
  { path: "speak", title: "Speak", icon: "speak", heading: "Give it a voice", view: SpeakPage },
  { path: "transcribe", title: "Transcribe", icon: "transcribe", heading: "Turn speech into text", view: TranscribePage },
  { path: "clean", title: "Clean", icon: "clean", heading: "Clean up a recording", view: CleanPage },
  { path: "stage", title: "Stage", icon: "stage", heading: "See the sound", view: StagePage as Page["view"] },
  { path: "history", title: "History", icon: "history", heading: "What you made", view: HistoryPage },
  { path: "models", title: "Models", icon: "models", heading: "Models", view: ModelsPage },
];

const page = signal(pages[0]!);
const server = signal<Health | "unreachable" | undefined>(undefined);

function route(): void {
  const path = location.hash.replace(/^#\/?/, "");
  page.value = pages.find((p) => p.path === path) ?? pages[0]!;
  document.title = `${page.value.title} · mlx-audio`;
}

async function lookAtServer(): Promise<void> {
  const before = server.value;
  try {
    server.value = await health();
    // The first answer, or one after a pause: models may have changed.
    if (!before || before === "unreachable") await refreshModels();
  } catch {
    // A refused key is asked for by the request itself.
    if (server.value === before) server.value = "unreachable";
  }
}

export function App() {
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    route();
    const onRoute = () => {
      route();
      main.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    };
    addEventListener("hashchange", onRoute);
    void loadHistory().catch(() => undefined);
    const look = () => {
      if (!document.hidden) void lookAtServer();
    };
    look();
    addEventListener("focus", look);
    const timer = setInterval(look, 10_000);
    return () => {
      clearInterval(timer);
      removeEventListener("focus", look);
      removeEventListener("hashchange", onRoute);
    };
  }, []);
  useSignalEffect(() => {
    if (speechModelId.value) void refreshVoices();
  });
  // A new key may open what the old one did not.
  useSignalEffect(() => {
    if (apiKey.value) void refreshModels().catch(() => undefined);
  });
  const { view: View, heading, path } = page.value;
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        main.current?.focus();
      }}>Skip to content</a>
      <Header />
      <main id="main" ref={main} tabIndex={-1} class={`page page-${path}`}>
        {server.value === "unreachable" && (
          <div class="problem" role="alert">
            <Icon name="warning" />
            <div class="problem-text">
              <strong>The server does not answer.</strong>
              <span>Start it with “mlx-audio serve”. This page connects by itself.</span>
            </div>
          </div>
        )}
        <h1 class={path === "stage" ? "unseen" : ""}>{heading}</h1>
        <Suspense fallback={<p class="faint">Loading…</p>}><View /></Suspense>
      </main>
      <KeyDialog />
    </>
  );
}

const themes: Record<Theme, { icon: IconName; next: Theme; label: string }> = {
  system: { icon: "auto", next: "light", label: "Colours as the system; change to light" },
  light: { icon: "sun", next: "dark", label: "Light colours; change to dark" },
  dark: { icon: "moon", next: "system", label: "Dark colours; change to the system's" },
};

function Header() {
  const look = themes[theme.value];
  const state = server.value;
  return (
    <header class="header">
      <a class="brand" href="#/speak" aria-label="mlx-audio, start">
        <svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="9" />
          <path d="M7 14v4M11.500 10.500v11M16 6.500v19M20.500 11.500v9M25 14v4" />
        </svg>
        <span>mlx-audio</span>
      </a>
      <nav class="nav" aria-label="Pages">
        {pages.map((p) => (
          <a key={p.path} href={`#/${p.path}`} aria-current={p === page.value ? "page" : undefined}>
            <Icon name={p.icon} />
            <span>{p.title}</span>
          </a>
        ))}
      </nav>
      <div class="tools">
        {state && state !== "unreachable" && (
          <span class="faint server wide-only" title={`Requests that wait: ${state.queue_depth ?? 0}`}>
            <span class="dot on" /> {state.version}
          </span>
        )}
        <IconButton
          icon="key"
          label={apiKey.value ? "Change the API key" : "Enter an API key"}
          onClick={() => (keyQuestion.value = { refused: false })}
        />
        <IconButton icon={look.icon} label={look.label} onClick={() => (theme.value = look.next)} />
      </div>
    </header>
  );
}
