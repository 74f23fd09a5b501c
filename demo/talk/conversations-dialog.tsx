import { useSignal } from "@preact/signals";
import { Download, MessageSquarePlus, Pencil, Trash2, Upload } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import { Dialog } from "../dialog.js";
import { download } from "../download.js";
import { FaultView } from "../fault-view.js";
import { Icon } from "../icon.js";
import { begin, current, discard, flush, open, rename } from "./current.js";
import { type Deleted, list, remove, restore, type SavedConversation, save, storageFault } from "./storage.js";
import { asJSON, asMarkdown, importJSON } from "./transfer.js";

/** Dialog with the conversations in this browser: open, rename, export and delete them, and import others. */
export function ConversationsDialog({ onClose }: { onClose: () => void }) {
  const all = useSignal<readonly SavedConversation[] | undefined>(undefined);
  const failed = useSignal<unknown>(undefined);
  const deleted = useSignal<readonly Deleted[]>([]);
  const renamed = useSignal<string | undefined>(undefined);
  const picker = useRef<HTMLInputElement>(null);
  const refresh = async (): Promise<void> => {
    await flush();
    all.value = await list();
  };
  const undo = useRef<HTMLButtonElement>(null);
  const items = useRef<HTMLUListElement>(null);
  const guarded = (work: () => Promise<void>): void => {
    failed.value = undefined;
    work().catch((error: unknown) => (failed.value = error));
  };
  useEffect(() => guarded(refresh), []);
  const leave = (work: () => Promise<void>): void =>
    guarded(async () => {
      await work();
      onClose();
    });
  /** Moves the focus to a conversation's title, once it is there again. */
  const focusOn = (id: string): void => {
    requestAnimationFrame(() => {
      for (const item of items.current?.children ?? []) {
        if ((item as HTMLElement).dataset.id === id) item.querySelector<HTMLElement>(".title")?.focus();
      }
    });
  };
  const finishRename = (conversation: SavedConversation, title: string): void =>
    guarded(async () => {
      renamed.value = undefined;
      focusOn(conversation.id);
      if (title === conversation.title) return;
      if (conversation.id === current.value) {
        rename(title);
        await flush();
      } else await save({ ...conversation, title: title || conversation.title, isNamed: title !== "" }, []);
      await refresh();
    });
  const last = deleted.value.at(-1);
  return (
    <Dialog title="Conversations" onClose={onClose}>
      <div class="row">
        <button type="button" class="primary" onClick={() => leave(async () => begin())}>
          <Icon of={MessageSquarePlus} />
          New conversation
        </button>
        <button type="button" onClick={() => picker.current?.click()}>
          <Icon of={Upload} />
          Import
        </button>
        <input
          ref={picker}
          type="file"
          hidden
          accept="application/json,.json"
          aria-label="Exported conversation"
          onChange={({ currentTarget }) => {
            const [file] = currentTarget.files ?? [];
            currentTarget.value = "";
            if (file) leave(async () => open(await importJSON(file)));
          }}
        />
      </div>
      {failed.value !== undefined && <FaultView error={failed.value} />}
      <p class="small muted" role="status">
        {last && (
          <span class="row">
            Deleted “{last.conversation.title}”.
            <button
              type="button"
              ref={undo}
              onClick={() =>
                guarded(async () => {
                  deleted.value = deleted.value.slice(0, -1);
                  await restore(last);
                  await refresh();
                  focusOn(last.conversation.id);
                })
              }
            >
              Undo
            </button>
          </span>
        )}
        {all.value?.length === 0 && !last && "No conversations yet."}
      </p>
      <ul class="conversations" ref={items}>
        {(all.value ?? []).map((conversation) => {
          const { id, title, changed, turns } = conversation;
          return (
            <li key={id} data-id={id} class="row" aria-current={id === current.value ? "true" : undefined}>
              {renamed.value === id ? (
                <Rename title={title} onEnd={(next = title) => finishRename(conversation, next)} />
              ) : (
                <button type="button" class="quiet grow title" onClick={() => leave(() => open(id))}>
                  <span>{title}</span>
                  <span class="small muted">
                    {new Date(changed).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })},{" "}
                    {turns.length === 1 ? "1 question" : `${turns.length} questions`}
                  </span>
                </button>
              )}
              {renamed.value !== id && (
                <>
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`Rename ${title}`}
                    onClick={() => (renamed.value = id)}
                  >
                    <Icon of={Pencil} />
                  </button>
                  <Export conversation={conversation} onFault={(error) => (failed.value = error)} />
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`Delete ${title}`}
                    onClick={() =>
                      guarded(async () => {
                        await flush();
                        if (id === current.value) discard();
                        const gone = await remove(id);
                        if (gone) deleted.value = [...deleted.value, gone];
                        await refresh();
                        requestAnimationFrame(() => undo.current?.focus());
                      })
                    }
                  >
                    <Icon of={Trash2} />
                  </button>
                </>
              )}
            </li>
          );
        })}
      </ul>
      {storageFault.value === undefined && (
        <p class="small muted">
          Conversations are stored in this browser, with their pictures and clips, and nowhere else.
        </p>
      )}
    </Dialog>
  );
}

/** A form for another title; `onEnd` gets none if it is cancelled. */
function Rename({ title, onEnd }: { title: string; onEnd: (title?: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current!.select(), []);
  return (
    <form
      class="row grow"
      onSubmit={(event) => {
        event.preventDefault();
        onEnd(input.current!.value.trim());
      }}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        // The dialog stays open.
        event.preventDefault();
        onEnd();
      }}
    >
      <input ref={input} name="title" class="grow" aria-label="Title" defaultValue={title} maxLength={200} />
      <button type="submit">Save</button>
      <button type="button" class="quiet" onClick={() => onEnd()}>
        Cancel
      </button>
    </form>
  );
}

const FORMATS = { Markdown: { make: asMarkdown, ending: "md" }, JSON: { make: asJSON, ending: "json" } } as const;

function Export({ conversation, onFault }: { conversation: SavedConversation; onFault: (error: unknown) => void }) {
  return (
    <label class="export">
      <Icon of={Download} />
      <select
        aria-label={`Export ${conversation.title}`}
        value=""
        onChange={({ currentTarget }) => {
          const { make, ending } = FORMATS[currentTarget.value as keyof typeof FORMATS];
          currentTarget.value = "";
          make(conversation).then((blob) => download(blob, `${fileName(conversation.title)}.${ending}`), onFault);
        }}
      >
        <option value="" disabled>
          Export
        </option>
        {Object.keys(FORMATS).map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

function fileName(title: string): string {
  return title.replace(/[^\p{Letter}\p{Number}]+/gu, "-").replace(/^-|-$/g, "") || "conversation";
}
