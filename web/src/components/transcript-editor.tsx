// A transcript to read, correct and hear: words jump the audio and light up.
import { useMemo, useRef } from "preact/hooks";
import { alignWords, wordAt } from "../text/align";
import { clock, speakersOf, withText, type Segment } from "../text/transcript";
import { editSegment, renameSpeaker, type Recording } from "../state/transcribing";
import { useFrames } from "./use-clock";

const speakerColors = 6;

export function TranscriptEditor({ recording }: { recording: Recording }) {
  const { player, transcript } = recording;
  const list = useRef<HTMLOListElement>(null);
  const lit = useRef<Element[]>([]);
  const speakers = speakersOf(transcript.segments);

  useFrames(() => {
    const time = player.time();
    const quiet = time === 0 && !player.playing.peek();
    const at = quiet ? -1 : wordAt(transcript.segments, time);
    const row = at < 0 ? undefined : list.current?.children[at];
    const word = at < 0 ? -1 : wordAt(transcript.segments[at]!.words, time + 0.02);
    const span = word < 0 ? null : row?.querySelector(`[data-word="${word}"]`);
    const now = [row, span].filter((e): e is Element => Boolean(e));
    if (now.length === lit.current.length && now.every((e, i) => e === lit.current[i])) return;
    lit.current.forEach((e) => e.classList.remove("lit"));
    now.forEach((e) => e.classList.add("lit"));
    const moved = row && row !== lit.current[0];
    lit.current = now;
    if (moved && player.playing.peek()) row.scrollIntoView({ block: "nearest" });
  });

  return (
    <ol class="segments" ref={list}>
      {transcript.segments.map((segment, index) => (
        <li key={index} class="segment">
          <button
            type="button"
            class="segment-time mono"
            aria-label={`Play from ${clock(segment.start)}`}
            onClick={() => {
              player.seek(segment.start);
              player.play();
            }}
          >
            {clock(segment.start)}
          </button>
          <div class="segment-body">
            {segment.speaker && (
              <input
                class={`speaker speaker-${speakers.indexOf(segment.speaker) % speakerColors}`}
                aria-label={`Name of speaker ${segment.speaker}`}
                value={segment.speaker}
                onChange={(event) => {
                  const name = event.currentTarget.value.trim();
                  if (name) renameSpeaker(recording, segment.speaker, name);
                }}
              />
            )}
            <Words
              segment={segment}
              onSeek={(time) => player.seek(time)}
              onPlay={(time) => {
                player.seek(time);
                player.play();
              }}
              onEdit={(text) => editSegment(recording, index, withText(segment, text))}
            />
          </div>
        </li>
      ))}
    </ol>
  );
}

function Words({
  segment,
  onSeek,
  onPlay,
  onEdit,
}: {
  segment: Segment;
  onSeek: (time: number) => void;
  onPlay: (time: number) => void;
  onEdit: (text: string) => void;
}) {
  const runs = useMemo(() => alignWords(segment.text, segment.words), [segment]);
  const wordOf = (node: Node | null) => {
    const element = node instanceof Element ? node : node?.parentElement;
    const index = element?.closest<HTMLElement>("[data-word]")?.dataset.word;
    return index === undefined ? undefined : segment.words[Number(index)];
  };
  return (
    <p
      // Typing changes the paragraph behind Preact's back: an edit makes a new one.
      key={segment.text}
      class="segment-text"
      contentEditable={"plaintext-only" as unknown as boolean}
      role="textbox"
      aria-multiline="true"
      aria-label={`Text at ${clock(segment.start)}`}
      spellcheck
      onClick={(event) => {
        const word = wordOf(event.target as Node);
        if (word && getSelection()?.isCollapsed) onSeek(word.start);
      }}
      onKeyDown={(event) => {
        const { currentTarget } = event;
        if (event.key === "Escape") {
          currentTarget.textContent = segment.text;
          currentTarget.blur();
        } else if (event.key === "Enter") {
          event.preventDefault();
          if (event.ctrlKey || event.metaKey) {
            onPlay(wordOf(getSelection()?.anchorNode ?? null)?.start ?? segment.start);
          } else {
            currentTarget.blur();
          }
        }
      }}
      onBlur={(event) => {
        const text = event.currentTarget.textContent ?? "";
        if (text.replace(/\s+/g, " ").trim() !== segment.text) onEdit(text);
      }}
    >
      {runs.map((run, i) =>
        run.word < 0 ? run.text : <span key={i} data-word={run.word}>{run.text}</span>,
      )}
    </p>
  );
}
