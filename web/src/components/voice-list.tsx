// Voices to choose from and to hear.
import { useComputed, useSignal } from "@preact/signals";
import type { Voice } from "../api/speech";
import { chooseVoice, preview, previewing, voice, voices } from "../state/speaking";
import { languageName } from "../text/language";
import { Icon } from "./icons";

const hues = [14, 42, 88, 152, 190, 222, 268, 318];

function hueOf(id: string): number {
  let sum = 0;
  for (const c of id) sum = (sum * 31 + c.charCodeAt(0)) >>> 0;
  return hues[sum % hues.length]!;
}

/** "heart" of "af_heart". */
function shortName(of: Voice): string {
  const bare = of.name.replace(/^[a-z]{2}_/, "");
  return bare.charAt(0).toUpperCase() + bare.slice(1);
}

function about(of: Voice): string {
  return [of.language && languageName(of.language), of.gender, of.uploaded && "uploaded"]
    .filter(Boolean)
    .join(" · ");
}

export function VoiceList() {
  const filter = useSignal("");
  const shown = useComputed(() => {
    const wanted = filter.value.toLowerCase().trim();
    return (voices.value ?? []).filter((v) =>
      `${v.id} ${about(v)}`.toLowerCase().includes(wanted),
    );
  });
  if (voices.value === undefined) return <p class="faint" aria-live="polite">Fetching voices…</p>;
  if (voices.value.length === 0) return null;
  return (
    <fieldset class="voices">
      <legend>Voice</legend>
      {voices.value.length > 8 && (
        <input
          type="search"
          class="voice-filter"
          aria-label="Find a voice"
          placeholder={`Find one of ${voices.value.length}: name or language`}
          value={filter.value}
          onInput={(event) => (filter.value = event.currentTarget.value)}
        />
      )}
      <div class="voice-scroll">
        {shown.value.map((v) => (
          <div class="voice" key={v.id}>
            <label>
              <input
                type="radio"
                name="voice"
                value={v.id}
                checked={voice.value?.id === v.id}
                onChange={() => chooseVoice(v.id)}
              />
              <span class="face" style={{ "--hue": String(hueOf(v.id)) }} aria-hidden="true">
                {shortName(v).charAt(0)}
              </span>
              <span class="voice-text">
                <span class="voice-name">{shortName(v)}</span>
                <span class="faint">{about(v)}</span>
              </span>
            </label>
            <button
              type="button"
              class="icon-button"
              aria-label={`Hear ${shortName(v)}`}
              title={`Hear ${shortName(v)}`}
              disabled={previewing.value !== ""}
              onClick={() => void preview(v)}
            >
              {previewing.value === v.id ? <span class="spinner" /> : <Icon name="play" size={16} />}
            </button>
          </div>
        ))}
        {shown.value.length === 0 && <p class="faint">No voice has that name.</p>}
      </div>
    </fieldset>
  );
}
