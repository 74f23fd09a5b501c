/**
 * Records of questions with right answers, in the forms that the model family's data and OpenAI's API use:
 *
 *     { "question": "…", "answer": "…" or ["…"], "image": "a.png" or ["a.png", "b.png"], "video": "clip.mp4" }
 *     { "messages": [{ "role": "user", "content": … }, { "role": "assistant", "content": "…" }] }
 *     { "conversations": [{ "from": "human", "value": "<image>\n…" }, { "from": "gpt", "value": "…" }], "image": "a.png" }
 *
 * The last answer of a conversation is the right one; what comes before it is asked as it is.
 */
import { SourceError, shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import type { ChatMessage, ImageContent, TextContent, VideoContent } from "../models/llava-onevision/processor.js";

/** A question and its right answers. */
export interface ScoredRecord {
  /** Its own `id` or `question_id`, or its number in the file, from 1. */
  readonly id: string;
  readonly messages: readonly ChatMessage[];
  readonly answers: readonly string[];
}

/** An answer as token ids, for training. */
export interface TokensContent {
  type: "tokens";
  tokens: readonly number[];
}

type Part = TextContent | ImageContent | VideoContent | TokensContent;

/** Turns the path of a picture or clip in a record into one that the model reads. */
export type MediaPath = (path: string) => string;

/** Reads a JSON array, or JSON lines. Throws SourceError, which names the file and the line or record. */
export function readRecords(text: string, file: string, pathOf: MediaPath = (path) => path): ScoredRecord[] {
  const records = recordsIn(text, file);
  for (const { error } of records) if (error) throw error;
  const seen = new Map<string, string>();
  const all = records.map(({ where, value }, i) => recordOf(value, where, String(i + 1), pathOf));
  for (const [i, { id }] of all.entries()) {
    const { where } = records[i]!;
    const earlier = seen.get(id);
    if (earlier !== undefined)
      throw fault(where, "an id of its own", `${id}, as in ${earlier}`, "give each record another id");
    seen.set(id, where);
  }
  if (all.length > 0) return all;
  throw fault(file, "records", "an empty file", "see the guide for the forms of records");
}

/** A record as it is in a file. */
export interface FoundRecord {
  /** File and line, or number in the file. */
  readonly where: string;
  readonly value: unknown;
  /** What is wrong with a line that is no JSON. */
  readonly error?: SourceError;
}

/** The records of a JSON array, or of JSON lines. Throws SourceError for an array that is no JSON. */
export function recordsIn(text: string, file: string): FoundRecord[] {
  return text.trimStart().startsWith("[") ? fromArray(text, file) : fromLines(text, file);
}

function fromArray(text: string, file: string): FoundRecord[] {
  const list = parsed(text, file);
  if (!Array.isArray(list))
    throw fault(file, "an array of records, or one record a line", shown(list), "see the guide");
  return list.map((value, i) => ({ where: `${file}, record ${i + 1}`, value }));
}

function fromLines(text: string, file: string): FoundRecord[] {
  return text.split(/\r?\n/).flatMap((line, i): FoundRecord[] => {
    if (line.trim() === "") return [];
    const where = `${file}, line ${i + 1}`;
    try {
      return [{ where, value: parsed(line, where) }];
    } catch (error) {
      return [{ where, value: undefined, error: error as SourceError }];
    }
  });
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw fault(where, "JSON", cause instanceof Error ? cause.message : String(cause), "write one record a line");
  }
}

function recordOf(value: unknown, where: string, number: string, pathOf: MediaPath): ScoredRecord {
  if (!isObject(value)) throw fault(where, "an object", shown(value), 'write { "question": …, "answer": … }');
  const given = value.id ?? value.question_id;
  const id = typeof given === "string" || typeof given === "number" ? String(given) : number;
  const own = value.answers ?? value.answer;
  const turns = turnsOf(value, where, pathOf);
  const last = turns.at(-1);
  const asks = own !== undefined || typeof value.question === "string";
  if (!last || (!asks && last.role !== "assistant")) {
    throw fault(
      where,
      "an answer as the last turn, or `answers`",
      last ? `a turn of ${last.role}` : "no question",
      "add the right answer",
    );
  }
  const messages = last.role === "assistant" ? turns.slice(0, -1) : turns;
  const answers = asks ? answersOf(own, where) : [textOf(last.parts, where)];
  return { id, messages: messages.map((turn) => chatMessage(turn, where)), answers };
}

/** The turns of a record of any form, with its media in their places. Throws SourceError. */
export function turnsOf(value: Record<string, unknown>, where: string, pathOf: MediaPath): Turn[] {
  const media = mediaOf(value, where, pathOf);
  if (typeof value.question === "string") {
    return [{ role: "user", parts: [...media, { type: "text", text: value.question }] }];
  }
  const list = value.messages ?? value.conversations;
  if (!Array.isArray(list)) {
    throw fault(
      where,
      "question, messages or conversations",
      `fields ${Object.keys(value).join(", ") || "none"}`,
      "see the guide for the forms of records",
    );
  }
  const left = [...media];
  const turns = list.map((turn: unknown, i) => turnOf(turn, `${where}, turn ${i + 1}`, left, pathOf));
  // The family's data begins some conversations with an answer, which is dropped.
  while (turns[0]?.role === "assistant") turns.shift();
  const question = turns.find(({ role }) => role === "user");
  // Media that no placeholder stands for come first.
  if (question && left.length > 0) question.parts.unshift(...left);
  return turns;
}

/** Throws SourceError for an answer as tokens. */
function chatMessage({ role, parts }: Turn, where: string): ChatMessage {
  const content = parts.filter((part) => part.type !== "tokens");
  if (content.length === parts.length) return { role, content };
  throw fault(where, "turns with text", "token ids", "give texts; tokens are for training");
}

/** One turn of a record. */
export interface Turn {
  readonly role: ChatMessage["role"];
  readonly parts: Part[];
}

const ROLES: Readonly<Record<string, ChatMessage["role"]>> = {
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  system: "system",
};

function turnOf(turn: unknown, where: string, media: Part[], pathOf: MediaPath): Turn {
  if (!isObject(turn)) throw fault(where, "an object", shown(turn), 'write { "role": "user", "content": "…" }');
  const given = String(turn.role ?? turn.from);
  const role = ROLES[given];
  if (!role)
    throw fault(where, Object.keys(ROLES).join(", "), shown(turn.role ?? turn.from), "give one of these roles");
  const content = turn.content ?? turn.value;
  if (typeof content === "string") return { role, parts: placed(content, media, where) };
  if (!Array.isArray(content)) throw fault(where, "a text or a list of parts", shown(content), 'write "content": "…"');
  return { role, parts: content.map((part: unknown) => partOf(part, where, pathOf)) };
}

/** Puts the record's pictures and clips in the place of `<image>` and `<video>`. */
function placed(text: string, media: Part[], where: string): Part[] {
  const parts: Part[] = [];
  for (const piece of text.split(/(<image>|<video>)\n?/)) {
    if (piece === "") continue;
    if (piece !== "<image>" && piece !== "<video>") {
      parts.push({ type: "text", text: piece });
      continue;
    }
    const next = media.shift();
    if (!next)
      throw fault(
        where,
        "a picture or clip for each placeholder",
        `${piece} without one`,
        "add it to `image` or `video`",
      );
    parts.push(next);
  }
  const last = parts.at(-1);
  // A line feed before a placeholder at the end separates it from the question.
  if (last?.type === "text") last.text = last.text.replace(/^\n/, "");
  return parts.map((part) => (part.type === "text" ? { ...part, text: part.text.replace(/\n$/, "") } : part));
}

function partOf(part: unknown, where: string, pathOf: MediaPath): Part {
  if (!isObject(part))
    throw fault(where, "parts that are objects", shown(part), 'write { "type": "text", "text": "…" }');
  const urlOf = (value: unknown): unknown => (isObject(value) ? value.url : value);
  const text = part.text;
  if (part.type === "text" && typeof text === "string") return { type: "text", text };
  if (part.type === "tokens" && Array.isArray(part.tokens)) return { type: "tokens", tokens: part.tokens as number[] };
  const image = urlOf(part.image ?? part.image_url);
  if (typeof image === "string") return { type: "image", image: pathOf(image) };
  const video = urlOf(part.video ?? part.video_url);
  if (typeof video === "string") return { type: "video", video: pathOf(video), ...samplingOf(part) };
  const { frames } = part;
  const isFrames = part.type === "video" && Array.isArray(frames) && frames.every((path) => typeof path === "string");
  if (isFrames) return { type: "video", frames: (frames as string[]).map(pathOf) };
  throw fault(where, "a part with text, image or video", shown(part), 'write { "type": "image", "image": "a.png" }');
}

/** How a clip is sampled; the model checks the values. */
function samplingOf(part: Record<string, unknown>): Partial<VideoContent> {
  const names = ["frames", "fps", "start", "end", "track"] as const;
  return Object.fromEntries(names.flatMap((name) => (typeof part[name] === "number" ? [[name, part[name]]] : [])));
}

function mediaOf(record: Record<string, unknown>, where: string, pathOf: MediaPath): Part[] {
  const listed = (value: unknown, name: string): string[] => {
    if (value === undefined || value === null) return [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    const wrong = list.find((path) => typeof path !== "string");
    if (wrong === undefined) return list as string[];
    throw fault(`${where}, ${name}`, "a path, or a list of paths", shown(wrong), "give paths of files");
  };
  return [
    ...listed(record.image ?? record.images ?? record.file_name, "image").map(
      (path): Part => ({ type: "image", image: pathOf(path) }),
    ),
    ...listed(record.video ?? record.videos, "video").map((path): Part => ({ type: "video", video: pathOf(path) })),
  ];
}

/** A text, a number, or a list of them; VQA's have the text in `answer`. */
export function answersOf(value: unknown, where: string): string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  const texts = list.map((one) => (isObject(one) ? one.answer : one));
  const isText = (text: unknown): boolean => typeof text === "string" || typeof text === "number";
  if (texts.length > 0 && texts.every(isText)) return texts.map(String);
  throw fault(`${where}, answer`, "a text, or a list of texts", shown(value), "give the right answer, or several");
}

function textOf(parts: readonly Part[], where: string): string {
  if (parts.some(({ type }) => type === "tokens"))
    throw fault(where, "a text", "token ids", "give the answer as a text");
  return parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}

function fault(where: string, expected: string, got: string, remedy: string): SourceError {
  return new SourceError({ where, expected, got, remedy });
}
