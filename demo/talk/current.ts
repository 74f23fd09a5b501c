import { batch, effect, signal } from "@preact/signals";
import { type Reply, show, type Turn, turns } from "./conversation.js";
import { attachments, detach, text } from "./draft.js";
import { type Attachment, restored, saved } from "./media.js";
import { filesOf, find, type SavedConversation, save, tidy } from "./storage.js";

// The conversation of this tab: it survives a reload, the bench page and the way back, and is in the list of conversations.

/** Under this name the tab remembers its conversation. */
const TAB = "ocellus conversation";

export const current = signal(sessionStorage.getItem(TAB) ?? crypto.randomUUID());
/** The title that the visitor gave it. */
const named = signal<string | undefined>(undefined);
/** Whether what was stored is shown; nothing is written before. */
const isRestored = signal(false);
let changed = Date.now();
/** What was read from storage is not a change. */
let isFresh = true;

effect(() => sessionStorage.setItem(TAB, current.value));

/** Shows the conversation that this tab had before. */
export async function restoreTab(): Promise<void> {
  await open(current.value);
  void tidy(current.value).catch(() => {});
}

/** Shows a stored conversation; an empty one if there is none of that id. */
export async function open(id: string): Promise<void> {
  if (id !== current.value) begin();
  isRestored.value = false;
  const stored = await find(id);
  const read = await Promise.all(
    (stored?.turns ?? []).map(async (turn) => ({ ...turn, media: await filesOf(turn.media) })),
  );
  const media = await filesOf(stored?.draft.media ?? []);
  batch(() => {
    current.value = id;
    named.value = stored?.isNamed ? stored.title : undefined;
    changed = stored?.changed ?? Date.now();
    show(read.map((turn) => ({ ...turn, reply: ended(turn.reply) })));
    // What was written and added while this was read stays.
    text.value = text.value || (stored?.draft.text ?? "");
    attachments.value = [...media, ...attachments.value];
    isFresh = true;
    isRestored.value = true;
  });
}

interface Draft {
  readonly text: string;
  readonly media: readonly Attachment[];
}

/** Begins a conversation with some turns and a draft, or an empty one; the one before stays in the list. */
export function begin(kept: readonly Turn[] = [], draft: Draft = { text: "", media: [] }): void {
  void flush();
  batch(() => {
    for (const { id } of attachments.value) detach(id);
    current.value = crypto.randomUUID();
    named.value = undefined;
    show(kept);
    text.value = draft.text;
    attachments.value = draft.media;
    isFresh = false;
  });
}

/** Edits a question in a branch of the conversation: what came before it stays, and the whole is in the list. */
export async function branch(id: string): Promise<void> {
  const at = turns.value.findIndex((turn) => turn.id === id);
  const turn = turns.value[at];
  if (!turn) return;
  const media = await Promise.all(turn.media.map((medium) => restored(saved(medium), medium.file)));
  begin(turns.value.slice(0, at), { text: turn.text, media });
}

/** Gives the conversation of this tab a title; empty for the first question. */
export function rename(title: string): void {
  named.value = title === "" ? undefined : title;
}

/** The conversation as it is stored. */
function snapshot(): SavedConversation {
  return {
    id: current.value,
    title: named.value ?? titleOf(turns.value),
    isNamed: named.value !== undefined,
    changed,
    turns: turns.value.map(({ media, reply: { progress: _, ...reply }, ...turn }) => ({
      ...turn,
      media: media.map(saved),
      reply,
    })),
    draft: { text: text.value, media: attachments.value.map(saved) },
  };
}

const TITLE_CHARACTERS = 60;

function titleOf(turns: readonly Turn[]): string {
  const [first] = turns;
  const title = first?.text || first?.media.map(({ file }) => file.name).join(", ") || "Empty conversation";
  return title.length > TITLE_CHARACTERS ? `${title.slice(0, TITLE_CHARACTERS - 1)}…` : title;
}

/** An answer whose page is gone will not go on by itself. */
function ended(reply: Reply): Reply {
  return ["done", "failed"].includes(reply.phase) ? reply : { ...reply, phase: "interrupted" };
}

const WRITE_MS = 250;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Writes what has changed now. */
export async function flush(): Promise<void> {
  if (timer === undefined) return;
  clearTimeout(timer);
  timer = undefined;
  // As it is at the call: the caller may show another conversation next.
  await save(snapshot(), [...turns.value.flatMap(({ media }) => media), ...attachments.value]);
}

effect(() => {
  snapshot();
  if (!isRestored.value) return;
  if (isFresh) {
    isFresh = false;
    return;
  }
  changed = Date.now();
  timer ??= setTimeout(() => void flush(), WRITE_MS);
});
addEventListener("pagehide", () => void flush());
