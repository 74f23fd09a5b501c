import { signal } from "@preact/signals";
import { createStore, del, delMany, entries, get, set, type UseStore, values } from "idb-keyval";
import type { Reply } from "./conversation.js";
import { type Attachment, restored, type SavedAttachment } from "./media.js";

// Conversations in this browser's storage. Files are apart from them, since a conversation is written often and a file once.

export interface SavedTurn {
  readonly id: string;
  readonly text: string;
  readonly media: readonly SavedAttachment[];
  readonly expected?: string;
  readonly reply: Reply;
}

export interface SavedConversation {
  readonly id: string;
  readonly title: string;
  /** Whether the visitor gave the title. */
  readonly isNamed: boolean;
  /** Time of the last change, in milliseconds. */
  readonly changed: number;
  readonly turns: readonly SavedTurn[];
  /** The question that is being written. */
  readonly draft: { readonly text: string; readonly media: readonly SavedAttachment[] };
}

interface SavedFile {
  readonly file: File;
  readonly added: number;
}

/** A deleted conversation, which can come back. */
export interface Deleted {
  readonly conversation: SavedConversation;
  readonly files: ReadonlyMap<string, SavedFile>;
}

/** Why nothing is stored; undefined if it is. */
export const storageFault = signal<unknown>(undefined);

const stores = new Map<string, UseStore>();
function store(name: "conversations" | "files"): UseStore {
  const known = stores.get(name) ?? createStore(`ocellus ${name}`, name);
  stores.set(name, known);
  return known;
}

/** Files that this page has written. */
const written = new Set<string>();

let changes: Promise<unknown> = Promise.resolve();

/** Runs one change after another. */
function inOrder<T>(change: () => Promise<T>): Promise<T> {
  const next = changes.then(change);
  changes = next.catch(() => {});
  return next;
}

/** Writes a conversation; the files of its attachments are written once. */
export function save(
  conversation: SavedConversation,
  media: readonly Pick<Attachment, "id" | "file">[],
): Promise<void> {
  return inOrder(() => write(conversation, media));
}

async function write(
  conversation: SavedConversation,
  media: readonly Pick<Attachment, "id" | "file">[],
): Promise<void> {
  try {
    for (const { id, file } of media) {
      if (written.has(id)) continue;
      await set(id, { file, added: Date.now() } satisfies SavedFile, store("files"));
      written.add(id);
    }
    await set(conversation.id, conversation, store("conversations"));
    storageFault.value = undefined;
  } catch (error) {
    storageFault.value = error;
  }
}

export async function find(id: string): Promise<SavedConversation | undefined> {
  try {
    return await get<SavedConversation>(id, store("conversations"));
  } catch (error) {
    storageFault.value = error;
    return undefined;
  }
}

/** All conversations, the newest first. */
export async function list(): Promise<SavedConversation[]> {
  const all = await values<SavedConversation>(store("conversations"));
  return all.filter(({ turns }) => turns.length > 0).sort((a, b) => b.changed - a.changed);
}

/** The file of an attachment; undefined if it is gone. */
export async function fileOf(id: string): Promise<File | undefined> {
  return (await get<SavedFile>(id, store("files")))?.file;
}

/** The attachments that were saved; those whose file is gone are left out. */
export async function filesOf(media: readonly SavedAttachment[]): Promise<Attachment[]> {
  const found = await Promise.all(
    media.map(async (medium) => {
      const file = await fileOf(medium.id).catch(() => undefined);
      if (!file) return [];
      written.add(medium.id);
      return [await restored(medium, file).catch(() => restored({ ...medium, marks: [] }, file))];
    }),
  );
  return found.flat();
}

/** Deletes a conversation, and the files that no other one has. */
export function remove(id: string): Promise<Deleted | undefined> {
  return inOrder(() => erase(id));
}

async function erase(id: string): Promise<Deleted | undefined> {
  const conversation = await find(id);
  if (!conversation) return undefined;
  const others = (await values<SavedConversation>(store("conversations"))).filter((one) => one.id !== conversation.id);
  // Branches of a conversation have its files.
  const shared = new Set(others.flatMap(mediaIn).map(({ id }) => id));
  const files = new Map<string, SavedFile>();
  for (const { id } of mediaIn(conversation).filter(({ id }) => !shared.has(id))) {
    const file = await get<SavedFile>(id, store("files"));
    if (file) files.set(id, file);
  }
  await del(id, store("conversations"));
  await delMany([...files.keys()], store("files"));
  for (const id of files.keys()) written.delete(id);
  return { conversation, files };
}

/** Brings a deleted conversation back. */
export async function restore({ conversation, files }: Deleted): Promise<void> {
  for (const [id, file] of files) await set(id, file, store("files"));
  await set(conversation.id, conversation, store("conversations"));
}

/** Files that no conversation has are deleted after this time: another tab may be about to save its own. */
const ORPHAN_MS = 24 * 3600 * 1000;

/** Deletes files and drafts that belong to no conversation any more. `own`: the conversation of this tab. */
export async function tidy(own: string): Promise<void> {
  const old = Date.now() - ORPHAN_MS;
  const all = await values<SavedConversation>(store("conversations"));
  const isDraft = ({ id, turns, changed }: SavedConversation): boolean =>
    id !== own && turns.length === 0 && changed < old;
  for (const { id } of all.filter(isDraft)) await del(id, store("conversations"));
  const used = new Set(
    all
      .filter((one) => !isDraft(one))
      .flatMap(mediaIn)
      .map(({ id }) => id),
  );
  const files = await entries<string, SavedFile>(store("files"));
  await delMany(
    files.filter(([id, { added }]) => !used.has(id) && added < old).map(([id]) => id),
    store("files"),
  );
}

function mediaIn({ turns, draft }: SavedConversation): SavedAttachment[] {
  return [...turns.flatMap(({ media }) => media), ...draft.media];
}
