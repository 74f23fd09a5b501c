import type {
  ChatMessage,
  ImageContent,
  ImageMode,
  TextContent,
  VideoContent,
} from "../models/llava-onevision/processor.js";
import { RequestError } from "./api-error.js";
import { checkFields, type Fields, isFields, isText, objectAt, optional, shown, wholeWithin } from "./fields.js";

/**
 * Reads what a URL names that is not a `data:` URL. `param` is the place in the request, for messages. Without one such URLs are
 * errors: what a client writes there must not make a program read its files or its network.
 */
export type ReadMedia = (url: string, options: { param: string; signal: AbortSignal }) => Promise<Uint8Array>;

/** Messages for a session, and how their pictures become tiles. */
export interface Conversation {
  readonly messages: ChatMessage[];
  readonly imageMode: ImageMode;
}

const ROLES: Readonly<Record<string, ChatMessage["role"]>> = {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
};
/** Those after `name` come back with messages that a completion had; they are empty in ours. */
const MESSAGE_FIELDS = ["role", "content", "name", "refusal", "annotations", "audio", "tool_calls", "function_call"];
const TYPES = ["text", "image_url", "video_url"];
const DETAILS = ["auto", "low", "high"];
/** As many as a context of 32,768 tokens holds at 196 tokens a frame, and some. */
const MOST_FRAMES = 256;

/** Checks a request's messages and reads their pictures and clips. Throws RequestError, and what `readMedia` does. */
export async function readMessages(
  value: unknown,
  signal: AbortSignal,
  readMedia: ReadMedia | undefined,
): Promise<Conversation> {
  if (!Array.isArray(value) || value.length === 0) {
    throw new RequestError("messages", {
      expected: "a list of at least one message",
      got: shown(value),
      remedy: 'send [{ "role": "user", "content": "…" }]',
    });
  }
  const details: string[] = [];
  const messages: ChatMessage[] = [];
  for (const [i, given] of value.entries()) {
    const param = `messages[${i}]`;
    const message = objectAt(param, given);
    checkFields(param, message, MESSAGE_FIELDS);
    const role = roleOf(param, message.role);
    checkEmpty(param, message);
    messages.push({ role, content: await contentOf(param, message.content, { details, signal, readMedia }) });
  }
  const [detail] = details;
  const alike = details.every((other) => other === detail);
  return { messages, imageMode: !alike ? "auto" : detail === "low" ? "pad" : detail === "high" ? "anyres" : "auto" };
}

function roleOf(param: string, role: unknown): ChatMessage["role"] {
  if (isText(role) && Object.hasOwn(ROLES, role)) return ROLES[role]!;
  const tool = role === "tool" || role === "function";
  throw new RequestError(`${param}.role`, {
    expected: Object.keys(ROLES).join(", "),
    got: shown(role),
    remedy: tool ? "tools are not called here; put what a tool said into a user message" : "use one of these names",
  });
}

function checkEmpty(param: string, message: Fields): void {
  for (const name of MESSAGE_FIELDS.slice(3)) {
    const value = message[name];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue;
    throw new RequestError(
      `${param}.${name}`,
      { expected: "none", got: shown(value), remedy: "leave it out: answers here are text" },
      { status: 400, code: "unsupported_parameter" },
    );
  }
}

interface Reading {
  /** Gets the `detail` of each picture. */
  readonly details: string[];
  readonly signal: AbortSignal;
  readonly readMedia: ReadMedia | undefined;
}

async function contentOf(param: string, content: unknown, reading: Reading): Promise<ChatMessage["content"]> {
  if (isText(content)) return content;
  if (!Array.isArray(content) || content.length === 0) {
    throw new RequestError(`${param}.content`, {
      expected: "a text or a list of parts",
      got: shown(content),
      remedy: 'send a text, or [{ "type": "text", "text": "…" }]',
    });
  }
  const parts: (TextContent | ImageContent | VideoContent)[] = [];
  for (const [i, part] of content.entries()) parts.push(await partOf(`${param}.content[${i}]`, part, reading));
  return parts;
}

async function partOf(
  param: string,
  given: unknown,
  reading: Reading,
): Promise<TextContent | ImageContent | VideoContent> {
  const part = objectAt(param, given);
  const { type } = part;
  if (!isText(type) || !TYPES.includes(type)) {
    throw new RequestError(`${param}.type`, {
      expected: TYPES.join(", "),
      got: shown(type),
      remedy: type === "input_audio" || type === "file" ? "send text, pictures and clips" : "use one of these names",
    });
  }
  checkFields(param, part, ["type", type]);
  if (type === "text") {
    if (isText(part.text)) return { type, text: part.text };
    throw new RequestError(`${param}.text`, { expected: "a text", got: shown(part.text), remedy: "send a string" });
  }
  const place = `${param}.${type}`;
  const named = part[type];
  if (!isFields(named)) {
    const remedy = `send { "type": "${type}", "${type}": { "url": "data:…;base64,…" } }`;
    throw new RequestError(place, { expected: "an object with a url", got: shown(named), remedy });
  }
  if (type === "image_url") {
    checkFields(place, named, ["url", "detail"]);
    const isDetail = (value: unknown): value is string => isText(value) && DETAILS.includes(value);
    reading.details.push(optional(named, `${place}.detail`, DETAILS.join(", "), isDetail) ?? "auto");
    return { type: "image", image: await bytesOf(`${place}.url`, named.url, reading) };
  }
  checkFields(place, named, ["url", "frames"]);
  const expected = `a whole number from 1 to ${MOST_FRAMES}`;
  const frames = optional(named, `${place}.frames`, expected, wholeWithin(1, MOST_FRAMES));
  const video = await bytesOf(`${place}.url`, named.url, reading);
  return { type: "video", video, ...(frames !== undefined && { frames }) };
}

async function bytesOf(param: string, url: unknown, { signal, readMedia }: Reading): Promise<Uint8Array> {
  if (!isText(url) || url === "") {
    throw new RequestError(param, { expected: "a URL", got: shown(url), remedy: "send data:…;base64,…" });
  }
  if (/^data:/i.test(url)) return bytesOfDataURL(param, url);
  if (readMedia) return readMedia(url, { param, signal });
  throw new RequestError(param, {
    expected: "a data: URL",
    got: shown(url),
    remedy: "send the bytes themselves as data:…;base64,…: other URLs are not read here",
  });
}

function bytesOfDataURL(param: string, url: string): Uint8Array {
  const comma = url.indexOf(",");
  const isBase64 = comma > 0 && /;base64$/i.test(url.slice(0, comma));
  try {
    if (!isBase64) throw new Error("no `;base64,`");
    const binary = atob(url.slice(comma + 1));
    if (binary === "") throw new Error("no bytes");
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  } catch (cause) {
    throw new RequestError(param, {
      expected: "data:…;base64, and base64 after it",
      got: `${shown(url)} (${cause instanceof Error ? cause.message : String(cause)})`,
      remedy: "encode the file's bytes as base64",
      cause,
    });
  }
}
