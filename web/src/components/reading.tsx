// A text whose words light up as they are spoken; a click on one jumps there.
import type { ReadonlySignal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import type { Transport } from "../audio/transport";
import { alignWords, wordAt, type TimedWord } from "../text/align";
import { useFrames } from "./use-clock";

export function Reading({
  text,
  words,
  player,
}: {
  text: string;
  words: ReadonlySignal<TimedWord[]>;
  player: Transport;
}) {
  const box = useRef<HTMLParagraphElement>(null);
  const lit = useRef<Element | null>(null);
  const timed = words.value;
  const runs = useMemo(() => alignWords(text, timed), [text, timed]);

  useFrames(() => {
    const time = player.time();
    const index = time > 0 || player.playing.peek() ? wordAt(timed, time) : -1;
    const now = index < 0 ? null : box.current!.querySelector(`[data-word="${index}"]`);
    if (now === lit.current) return;
    lit.current?.classList.remove("lit");
    now?.classList.add("lit");
    lit.current = now;
    if (now && player.playing.peek()) keepInSight(box.current!, now as HTMLElement);
  });

  return (
    <p
      ref={box}
      class="reading"
      onClick={(event) => {
        const index = (event.target as HTMLElement).dataset.word;
        if (index !== undefined) player.seek(timed[Number(index)]!.start);
      }}
    >
      {runs.map((run, i) =>
        run.word < 0 ? run.text : <span key={i} data-word={run.word}>{run.text}</span>,
      )}
    </p>
  );
}

/** Scrolls the box only, never the page. */
function keepInSight(box: HTMLElement, word: HTMLElement): void {
  const outer = box.getBoundingClientRect();
  const inner = word.getBoundingClientRect();
  if (inner.bottom > outer.bottom - 8 || inner.top < outer.top) {
    box.scrollTop += inner.top - outer.top - outer.height / 3;
  }
}
