import { useComputed, useSignal } from "@preact/signals";
import { ArrowDown, Box, GraduationCap, MessageSquarePlus, MessagesSquare } from "lucide";
import { useEffect } from "preact/hooks";
import { shown } from "../fault.js";
import { FaultText } from "../fault-view.js";
import { Icon } from "../icon.js";
import { TopBar } from "../layout.js";
import type { TeachDialog } from "../teach/teach-dialog.js";
import { Composer } from "./composer.js";
import { removed, turns, undoRemove } from "./conversation.js";
import { ConversationsDialog } from "./conversations-dialog.js";
import { begin } from "./current.js";
import { attach, text } from "./draft.js";
import { takeDropped } from "./dropped.js";
import { useFollowing } from "./following.js";
import { answeringChoice, model, state } from "./model.js";
import { ModelDialog } from "./model-dialog.js";
import { ModelStatus } from "./model-status.js";
import { storageFault } from "./storage.js";
import { TurnView } from "./turn.js";
import { offerAddress } from "./web-address.js";
import { Welcome } from "./welcome.js";

/** The page: the model's state, the conversation, and the form for the question. */
export function App() {
  const dialog = useSignal(false);
  const conversations = useSignal(false);
  const teaching = useSignal<typeof TeachDialog | undefined>(undefined);
  const Teaching = teaching.value;
  // Its code is loaded when it is first opened.
  const openTeaching = async (): Promise<void> => {
    teaching.value = (await import("../teach/teach-dialog.js")).TeachDialog;
  };
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
          <button type="button" class="quiet" onClick={() => begin()}>
            <Icon of={MessageSquarePlus} />
            <span class="label">New conversation</span>
          </button>
        )}
        <button type="button" class="quiet" onClick={() => (conversations.value = true)} aria-haspopup="dialog">
          <Icon of={MessagesSquare} />
          <span class="label">Conversations</span>
        </button>
        <button type="button" class="quiet" onClick={openTeaching} aria-haspopup="dialog">
          <Icon of={GraduationCap} />
          <span class="label">Teach</span>
        </button>
        <button
          type="button"
          onClick={() => (dialog.value = true)}
          aria-haspopup="dialog"
          data-phase={state.value.phase}
        >
          <Icon of={Box} />
          <span class="ellipsis">Model: {answeringChoice.value.label}</span>
        </button>
        {model.value && (
          <span class="chip muted adapter" title="The adapter that the model runs on">
            <span class="ellipsis">{model.value.adapter.name}</span>
          </span>
        )}
      </TopBar>
      <main class="talk">
        <div class="conversation" ref={scroller}>
          <div class="page stack">
            <h1 class="sr-only">Talk about pictures and clips</h1>
            <ModelStatus onModels={() => (dialog.value = true)} />
            {storageFault.value !== undefined && (
              <FaultText
                fault={{
                  ...shown(storageFault.value),
                  title: "This conversation is not stored",
                  remedy:
                    "It stays until the page is closed. Allow this page to store data, or make room: delete conversations or cached models.",
                }}
              />
            )}
            {count.value === 0 ? (
              <Welcome onModels={() => (dialog.value = true)} />
            ) : (
              <ol class="turns" aria-label="Conversation">
                {turns.value.map((turn) => (
                  <TurnView key={turn.id} turn={turn} />
                ))}
              </ol>
            )}
            {removed.value && (
              <p class="small muted row" role="status">
                A question was deleted.
                <button type="button" onClick={undoRemove}>
                  Undo
                </button>
              </p>
            )}
          </div>
        </div>
        <div class="page dock">
          {away.value && count.value > 0 && (
            <button type="button" class="newest" onClick={jump}>
              <Icon of={ArrowDown} />
              Jump to newest
            </button>
          )}
          <Composer onModels={() => (dialog.value = true)} />
        </div>
      </main>
      {conversations.value && <ConversationsDialog onClose={() => (conversations.value = false)} />}
      {Teaching && <Teaching onClose={() => (teaching.value = undefined)} />}
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
        const { files } = event.clipboardData ?? {};
        if (!files || inDialog(event)) return;
        if (files.length > 0) void attach([...files]);
        // In a text that is being written an address is a text.
        else if (text.value.trim() !== "" || !offerAddress(event.clipboardData!.getData("text"))) return;
        event.preventDefault();
      },
      { signal },
    );
    return () => controller.abort();
  }, []);
  return over;
}
