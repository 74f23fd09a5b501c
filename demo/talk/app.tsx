import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { TopBar } from "../layout.js";
import { Composer } from "./composer.js";
import { clear, turns } from "./conversation.js";
import { attach } from "./draft.js";
import { takeDropped } from "./dropped.js";
import { Examples } from "./examples.js";
import { useFollowing } from "./following.js";
import { choice, state } from "./model.js";
import { ModelDialog } from "./model-dialog.js";
import { ModelStatus } from "./model-status.js";
import { TurnView } from "./turn.js";

/** The page: the model's state, the conversation, and the form for the question. */
export function App() {
  const dialog = useSignal(false);
  const dropping = useFileDrop();
  const count = useComputed(() => turns.value.length);
  const { scroller, away, jump } = useFollowing();
  return (
    <div class="app">
      <a class="skip" href="#question">
        Skip to the question
      </a>
      <TopBar current="talk">
        {count.value > 0 && (
          <button type="button" onClick={clear}>
            New conversation
          </button>
        )}
        <button
          type="button"
          onClick={() => (dialog.value = true)}
          aria-haspopup="dialog"
          data-phase={state.value.phase}
        >
          Model: {choice.value.label}
        </button>
      </TopBar>
      <main class="talk">
        <div class="conversation" ref={scroller}>
          <div class="page stack">
            <h1 class="sr-only">Talk about pictures and clips</h1>
            <ModelStatus onModels={() => (dialog.value = true)} />
            {count.value === 0 ? (
              <Examples />
            ) : (
              <ol class="turns" aria-label="Conversation">
                {turns.value.map((turn) => (
                  <TurnView key={turn.id} turn={turn} />
                ))}
              </ol>
            )}
          </div>
        </div>
        <div class="page dock">
          {away.value && count.value > 0 && (
            <button type="button" class="newest" onClick={jump}>
              Jump to newest
            </button>
          )}
          <Composer />
        </div>
      </main>
      {dialog.value && <ModelDialog onClose={() => (dialog.value = false)} />}
      {dropping.value && (
        <div class="drop" aria-hidden="true">
          Drop pictures, clips, or a model
        </div>
      )}
    </div>
  );
}

/** Adds files that are dropped or pasted anywhere on the page to the question; returns whether files hover over the page. */
function useFileDrop() {
  const over = useSignal(false);
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
    const inDialog = (event: Event): boolean =>
      event.target instanceof Element && event.target.closest("dialog") !== null;
    document.addEventListener(
      "dragover",
      (event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        over.value = true;
      },
      { signal },
    );
    document.addEventListener(
      "dragleave",
      (event) => {
        if (event.relatedTarget === null) over.value = false;
      },
      { signal },
    );
    document.addEventListener(
      "drop",
      (event) => {
        over.value = false;
        if (!hasFiles(event) || event.defaultPrevented) return;
        event.preventDefault();
        void takeDropped(event.dataTransfer!);
      },
      { signal },
    );
    document.addEventListener(
      "paste",
      (event) => {
        const files = event.clipboardData?.files;
        if (!files || files.length === 0 || inDialog(event)) return;
        event.preventDefault();
        attach(files);
      },
      { signal },
    );
    return () => controller.abort();
  }, []);
  return over;
}
