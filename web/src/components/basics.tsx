// Small parts that all pages share.
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { adviceFor, ApiError } from "../api/client";
import { toggle, type Transport } from "../audio/transport";
import { clock } from "../text/transcript";
import { Icon, type IconName } from "./icons";
import { useClock } from "./use-clock";

export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function bytes(count: number): string {
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(0)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}

/** A button that shows an icon only; its label is for the ear and the tooltip. */
export function IconButton({
  icon,
  label,
  ...rest
}: { icon: IconName; label: string } & JSX.ButtonHTMLAttributes<HTMLButtonElement>) {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} {...rest}>
      <Icon name={icon} />
    </button>
  );
}

/** What went wrong, and what to do. */
export function Problem({
  error,
  onRetry,
  onClose,
}: {
  error: unknown;
  onRetry?: (() => void) | undefined;
  onClose?: (() => void) | undefined;
}) {
  const text = error instanceof Error ? error.message : String(error);
  const model = error instanceof ApiError && error.status === 404 && error.param === "model";
  return (
    <div class="problem" role="alert">
      <Icon name="warning" />
      <div class="problem-text">
        <strong>{text}</strong>
        <span>{adviceFor(error)}</span>
        {error instanceof ApiError && error.requestId && error.status >= 500 && (
          <span class="mono">request {error.requestId}</span>
        )}
      </div>
      <div class="problem-actions">
        {model && <a class="button small" href="#/models">Models</a>}
        {onRetry && <button type="button" class="button small" onClick={onRetry}>Try again</button>}
        {onClose && <IconButton icon="close" label="Dismiss" onClick={onClose} />}
      </div>
    </div>
  );
}

export function Field({
  label,
  hint,
  children,
}: {
  label: string;
  hint?: string;
  children: (id: string) => ComponentChildren;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>
        {label}
        {hint && <span class="hint">{hint}</span>}
      </label>
      {children(id)}
    </div>
  );
}

export function Select({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: string;
  options: { value: string; label: string }[];
  onChange: (value: string) => void;
}) {
  return (
    <Field label={label}>
      {(id) => (
        <div class="select">
          <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
            {options.map((option) => (
              <option key={option.value} value={option.value}>{option.label}</option>
            ))}
          </select>
          <Icon name="chevron" size={16} />
        </div>
      )}
    </Field>
  );
}

/** One of a few, all in sight. */
export function Choice<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: { value: T; label: string }[];
  onChange: (value: T) => void;
}) {
  const name = useId();
  return (
    <fieldset class="choice">
      <legend class="unseen">{label}</legend>
      {options.map((option) => (
        <label key={option.value}>
          <input
            type="radio"
            name={name}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
          />
          <span>{option.label}</span>
        </label>
      ))}
    </fieldset>
  );
}

export function PlayButton({ player, disabled }: { player: Transport; disabled?: boolean }) {
  const playing = player.playing.value;
  return (
    <button
      type="button"
      class="play-button"
      disabled={disabled}
      aria-label={playing ? "Pause" : "Play"}
      onClick={() => toggle(player)}
    >
      <Icon name={playing ? "pause" : "play"} size={22} />
    </button>
  );
}

/** "0:03 / 0:12" */
export function Times({ player, duration }: { player: Transport; duration?: number }) {
  const time = useClock(player);
  return (
    <span class="times mono">
      {clock(time.value)} <span class="faint">/ {clock(duration ?? player.duration.value)}</span>
    </span>
  );
}

/** Takes files that are dropped on it or chosen. */
export function DropZone({
  title,
  text,
  multiple,
  filled,
  onFiles,
}: {
  title: string;
  text: string;
  multiple?: boolean;
  /** It has its file: smaller. */
  filled?: boolean;
  onFiles: (files: File[]) => void;
}) {
  const over = useSignal(false);
  const take = (list: FileList | null | undefined) => {
    const files = [...(list ?? [])];
    if (files.length > 0) onFiles(multiple ? files : files.slice(0, 1));
  };
  return (
    <label
      class={`drop-zone${over.value ? " over" : ""}${filled ? " filled" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        take(event.dataTransfer?.files);
      }}
    >
      <input
        type="file"
        class="unseen"
        accept="audio/*,video/*,.flac,.m4a,.ogg,.opus,.webm"
        multiple={multiple ?? false}
        onChange={(event) => {
          take(event.currentTarget.files);
          event.currentTarget.value = "";
        }}
      />
      <Icon name="upload" size={26} />
      <strong>{title}</strong>
      <span>{text}</span>
    </label>
  );
}

export function Empty({ icon, children }: { icon: IconName; children: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} size={30} />
      <p>{children}</p>
    </div>
  );
}
