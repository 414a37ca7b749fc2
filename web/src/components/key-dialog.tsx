// Asks for the API key.
import { useEffect, useRef } from "preact/hooks";
import { answerKey, apiKey, keyQuestion } from "../state/key";

export function KeyDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const question = keyQuestion.value;
  useEffect(() => {
    if (question && !dialog.current?.open) dialog.current?.showModal();
    if (!question && dialog.current?.open) dialog.current.close();
  }, [question]);
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="key-title" onCancel={() => answerKey(undefined)}>
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          answerKey(input.current!.value.trim());
        }}
      >
        <h2 id="key-title">API key</h2>
        <p>
          {question?.refused
            ? "The server refused this key. Enter another one."
            : "Enter the key that the server was started with."}{" "}
          It stays in this browser and is sent to this server only.
        </p>
        <label class="unseen" for="key-input">Key</label>
        <input
          id="key-input"
          ref={input}
          type="password"
          autocomplete="off"
          spellcheck={false}
          placeholder="Key"
          defaultValue={apiKey.peek()}
        />
        <div class="row end">
          <button type="button" class="button quiet" onClick={() => answerKey(undefined)}>Cancel</button>
          <button type="submit" class="button primary">Use key</button>
        </div>
      </form>
    </dialog>
  );
}
