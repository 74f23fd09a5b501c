import { batch, effect, signal } from "@preact/signals";
import { keep, recall } from "../remembered.js";
import { busy, type Reply, retry, show, type Turn, turns } from "./conversation.js";
import { attachments, cancelSend, detach, text } from "./draft.js";
import { type Attachment, restored, saved } from "./media.js";
import { filesOf, find, remove, type SavedConversation, save, tidy } from "./storage.js";

// The conversation of this tab: it survives a reload, the bench page and the way back, and is in the list of conversations.

/** Under this name the tab remembers its conversation. */
const TAB = "ocellus conversation";

export const current = signal(recall(TAB, "sessionStorage") ?? crypto.randomUUID());
/** The title that the visitor gave it. */
const named = signal<string | undefined>(undefined);
/** Whether what was stored is shown; nothing is written before. */
const isRestored = signal(false);
let changed = Date.now();
/** What was read from storage is not a change. */
let isFresh = true;

effect(() => keep(TAB, current.value, "sessionStorage"));

/** Shows the conversation that this tab had before. */
export async function restoreTab(): Promise<void> {
  await open(current.value);
  void tidy(current.value).catch(() => {});
}

/** Shows a stored conversation; an empty one if there is none of that id. */
export async function open(id: string): Promise<void> {
  if (id === current.value && isRestored.value) return;
  if (id !== current.value) begin();
  isRestored.value = false;
  const stored = await find(id);
  const read = await Promise.all(
    (stored?.turns ?? []).map(async (turn) => ({ ...turn, media: await filesOf(turn.media) })),
  );
  const media = await filesOf(stored?.draft.media ?? []);
  const isOwn = await claim(id);
  batch(() => {
    current.value = isOwn ? id : crypto.randomUUID();
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

/** Time that a page which is being left may hold its conversation. */
const LEAVING_MS = 500;
let release = (): void => {};

/** Holds a conversation for this tab; returns whether no other tab does. A copied tab goes on in a branch of its own. */
async function claim(id: string): Promise<boolean> {
  release();
  if (!("locks" in navigator)) return true;
  return new Promise((resolve) => {
    const hold = (): Promise<void> => {
      resolve(true);
      return new Promise((end) => {
        release = end;
      });
    };
    navigator.locks
      .request(`ocellus conversation ${id}`, { signal: AbortSignal.timeout(LEAVING_MS) }, hold)
      .catch(() => resolve(false));
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
    edited.value = undefined;
    cancelSend();
    for (const { id } of attachments.value) detach(id);
    current.value = crypto.randomUUID();
    void claim(current.value);
    named.value = undefined;
    show(kept);
    text.value = draft.text;
    attachments.value = draft.media;
    isFresh = false;
  });
}

/** The conversation that the question being edited is from, until it is sent. */
export const edited = signal<string | undefined>(undefined);

/** Edits a question in a branch of the conversation: what came before it stays, and the whole is in the list. */
export async function branch(id: string): Promise<void> {
  const at = turns.value.findIndex((turn) => turn.id === id);
  const turn = turns.value[at];
  if (!turn) return;
  const media = await Promise.all(turn.media.map((medium) => restored(saved(medium), medium.file)));
  const from = current.value;
  begin(turns.value.slice(0, at), { text: turn.text, media });
  edited.value = from;
  document.getElementById("question")?.focus();
}

/** Answers a question once more. What followed it stays in the conversation as it was, in the list. */
export function again(id: string): Promise<void> {
  const at = turns.value.findIndex((turn) => turn.id === id);
  if (at < turns.value.length - 1) begin(turns.value.slice(0, at + 1));
  return retry(id);
}

/** Leaves the conversation of this tab without writing what has changed: it is deleted. */
export function discard(): void {
  clearTimeout(timer);
  timer = undefined;
  begin();
}

/** Shows the conversation as it was before a question of it was edited. */
export async function unedit(): Promise<void> {
  const from = edited.value;
  if (from === undefined) return;
  const branch = current.value;
  await flush();
  await open(from);
  await remove(branch);
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
  const title =
    first?.text.replace(/\s+/g, " ") || first?.media.map(({ file }) => file.name).join(", ") || "Empty conversation";
  return title.length > TITLE_CHARACTERS ? `${title.slice(0, TITLE_CHARACTERS - 1)}…` : title;
}

/** An answer whose page is gone will not go on by itself. */
function ended(reply: Reply): Reply {
  return ["done", "failed"].includes(reply.phase) ? reply : { ...reply, phase: "interrupted" };
}

// The edited question was sent.
effect(() => {
  if (busy.value) edited.value = undefined;
});

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
