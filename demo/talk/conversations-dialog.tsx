import { useSignal } from "@preact/signals";
import { Download, MessageSquarePlus, Pencil, Trash2, Upload } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import { Dialog } from "../dialog.js";
import { download } from "../download.js";
import { FaultView } from "../fault-view.js";
import { Icon } from "../icon.js";
import { begin, current, flush, open, rename } from "./current.js";
import { type Deleted, list, remove, restore, type SavedConversation, save } from "./storage.js";
import { asJSON, asMarkdown, importJSON } from "./transfer.js";

/** Dialog with the conversations in this browser: open, rename, export and delete them, and import others. */
export function ConversationsDialog({ onClose }: { onClose: () => void }) {
  const all = useSignal<readonly SavedConversation[] | undefined>(undefined);
  const failed = useSignal<unknown>(undefined);
  const deleted = useSignal<Deleted | undefined>(undefined);
  const renamed = useSignal<string | undefined>(undefined);
  const picker = useRef<HTMLInputElement>(null);
  const refresh = async (): Promise<void> => {
    await flush();
    all.value = await list();
  };
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
  const finishRename = (conversation: SavedConversation, title: string): void =>
    guarded(async () => {
      renamed.value = undefined;
      if (title === conversation.title) return;
      if (conversation.id === current.value) {
        rename(title);
        await flush();
      } else await save({ ...conversation, title: title || conversation.title, isNamed: title !== "" }, []);
      await refresh();
    });
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
        {deleted.value && (
          <span class="row">
            Deleted “{deleted.value.conversation.title}”.
            <button
              type="button"
              onClick={() =>
                guarded(async () => {
                  const back = deleted.value!;
                  deleted.value = undefined;
                  await restore(back);
                  await refresh();
                })
              }
            >
              Undo
            </button>
          </span>
        )}
        {all.value?.length === 0 && !deleted.value && "No conversations yet."}
      </p>
      <ul class="conversations">
        {(all.value ?? []).map((conversation) => {
          const { id, title, changed, turns } = conversation;
          return (
            <li key={id} class="row" aria-current={id === current.value ? "true" : undefined}>
              {renamed.value === id ? (
                <form
                  class="row grow"
                  onSubmit={(event) => {
                    event.preventDefault();
                    finishRename(conversation, new FormData(event.currentTarget).get("title")!.toString().trim());
                  }}
                >
                  <input name="title" class="grow" aria-label="Title" defaultValue={title} maxLength={200} autofocus />
                  <button type="submit">Save</button>
                </form>
              ) : (
                <button type="button" class="quiet grow title" onClick={() => leave(() => open(id))}>
                  <span>{title}</span>
                  <span class="small muted">
                    {new Date(changed).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })},{" "}
                    {turns.length === 1 ? "1 question" : `${turns.length} questions`}
                  </span>
                </button>
              )}
              <button type="button" class="quiet" aria-label={`Rename ${title}`} onClick={() => (renamed.value = id)}>
                <Icon of={Pencil} />
              </button>
              <Export conversation={conversation} onFault={(error) => (failed.value = error)} />
              <button
                type="button"
                class="quiet"
                aria-label={`Delete ${title}`}
                onClick={() =>
                  guarded(async () => {
                    deleted.value = await remove(id);
                    if (id === current.value) begin();
                    await refresh();
                  })
                }
              >
                <Icon of={Trash2} />
              </button>
            </li>
          );
        })}
      </ul>
      <p class="small muted">
        Conversations are stored in this browser, with their pictures and clips, and nowhere else.
      </p>
    </Dialog>
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
