import { NOT_COMPUTED, textOf } from "./conversation.js";
import type { Mark } from "./marks.js";
import { MOST_FRAMES } from "./media.js";
import { fileOf, type SavedConversation, type SavedTurn, save } from "./storage.js";

// Conversations as files: Markdown to read, JSON with the pictures and clips to take to another browser.

const FORMAT = "ocellus conversation";
const VERSION = 1;
/** More than a picture has room for. */
const MOST_MARKS = 100;

interface ExportedMedium {
  readonly name: string;
  readonly type: string;
  readonly kind: "image" | "video";
  readonly marks: readonly Mark[];
  readonly frames: number;
  readonly start?: number;
  readonly end?: number;
  /** base64; absent if the file was gone. */
  readonly data?: string;
}

interface ExportedTurn {
  readonly question: string;
  readonly media: readonly ExportedMedium[];
  readonly answer: string;
}

interface Exported {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  readonly title: string;
  readonly turns: readonly ExportedTurn[];
}

/** A conversation as Markdown: its texts, and the names of its pictures and clips. */
export async function asMarkdown({ title, turns }: SavedConversation): Promise<Blob> {
  const parts = [`# ${title}`];
  for (const turn of turns) {
    const names = await Promise.all(
      turn.media.map(async ({ id }) => (await fileOf(id))?.name ?? "a file that is gone"),
    );
    parts.push("## Question", ...names.map((name) => `*${name}*`), turn.text, "## Answer", textOf(turn.reply));
  }
  return new Blob([`${parts.filter((part) => part !== "").join("\n\n")}\n`], { type: "text/markdown" });
}

/** A conversation as JSON, with its pictures and clips. */
export async function asJSON({ title, turns }: SavedConversation): Promise<Blob> {
  const exported: Exported = {
    format: FORMAT,
    version: VERSION,
    title,
    turns: await Promise.all(
      turns.map(async (turn) => ({
        question: turn.text,
        answer: textOf(turn.reply),
        media: await Promise.all(
          turn.media.map(async ({ id, kind, marks, frames, start, end }): Promise<ExportedMedium> => {
            const file = await fileOf(id);
            return {
              name: file?.name ?? "",
              type: file?.type ?? "",
              kind,
              marks,
              frames,
              ...(start !== undefined && { start }),
              ...(end !== undefined && { end }),
              ...(file && { data: await base64Of(file) }),
            };
          }),
        ),
      })),
    ),
  };
  return new Blob([JSON.stringify(exported)], { type: "application/json" });
}

/** Stores a conversation that was exported as JSON; returns its id. Throws an Error for another file. */
export async function importJSON(file: File): Promise<string> {
  const { title, turns } = parse(await file.text(), file.name);
  const files: { id: string; file: File }[] = [];
  const saved = turns.map(({ question, answer, media }): SavedTurn => {
    const attachments = media.flatMap(({ name, type, data, start, end, ...medium }) => {
      if (data === undefined) return [];
      const id = crypto.randomUUID();
      files.push({ id, file: new File([bytesOf(data, file.name)], name, { type }) });
      return [{ id, start, end, ...medium }];
    });
    const result = { text: answer, finishReason: "stop" as const, ...NOT_COMPUTED };
    return {
      id: crypto.randomUUID(),
      text: question,
      media: attachments,
      reply: { phase: "done", pieces: [], ...(answer !== "" && { result }) },
    };
  });
  const id = crypto.randomUUID();
  const draft = { text: "", media: [] };
  await save({ id, title, isNamed: true, changed: Date.now(), turns: saved, draft }, files);
  return id;
}

function unknown(name: string): Error {
  return new Error(`${name} is not a conversation that this page exported as JSON.`);
}

function parse(text: string, name: string): Exported {
  let value: Partial<Exported> | null;
  try {
    value = JSON.parse(text) as Partial<Exported> | null;
  } catch {
    throw unknown(name);
  }
  if (value?.format !== FORMAT || !Array.isArray(value.turns) || typeof value.title !== "string") throw unknown(name);
  if (value.version !== VERSION) {
    throw new Error(`${name} was exported by a newer version of this page: reload the page to get it.`);
  }
  if (!value.turns.every(isTurn)) throw unknown(name);
  return value as Exported;
}

function isTurn(value: unknown): value is ExportedTurn {
  const { question, answer, media } = Object(value) as Partial<ExportedTurn>;
  return typeof question === "string" && typeof answer === "string" && Array.isArray(media) && media.every(isMedium);
}

function isMedium(value: unknown): value is ExportedMedium {
  const { name, type, kind, marks, frames, start, end, data } = Object(value) as Partial<ExportedMedium>;
  return (
    typeof name === "string" &&
    typeof type === "string" &&
    (kind === "image" || kind === "video") &&
    Array.isArray(marks) &&
    marks.length <= MOST_MARKS &&
    marks.every(isMark) &&
    Number.isInteger(frames) &&
    frames! >= 1 &&
    frames! <= MOST_FRAMES &&
    [start, end].every((second) => second === undefined || (typeof second === "number" && second >= 0)) &&
    (data === undefined || typeof data === "string")
  );
}

function isMark(value: unknown): value is Mark {
  const { x, y, width = 0, height = 0 } = Object(value) as Partial<Mark>;
  return [x, y, width, height].every((share) => typeof share === "number" && share >= 0 && share <= 1);
}

async function base64Of(file: Blob): Promise<string> {
  const url = await new Promise<string>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  return url.slice(url.indexOf(",") + 1);
}

function bytesOf(base64: string, name: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    throw unknown(name);
  }
}
