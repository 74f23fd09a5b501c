import { shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { inspectPicture } from "../io/picture-input.js";
import type {
  ChatMessage,
  ImageContent,
  ImageMode,
  TextContent,
  VideoContent,
} from "../models/llava-onevision/processor.js";
import { RequestError } from "./api-error.js";
import { checkFields, type Fields, isText, nameAmong, objectAt, optional, wholeWithin } from "./fields.js";

/**
 * Fetches a URL other than `data:`. `param` is the field of the request, for messages. Without such a function these URLs are errors:
 * clients must not make a program read its files or its network (server-side request forgery).
 */
export type ReadMedia = (url: string, options: { param: string; signal: AbortSignal }) => Promise<Uint8Array>;

/** How the media of requests are read. */
export interface MediaOptions {
  /** Fetches URLs of pictures and clips other than `data:`; without it they are errors. */
  readonly readMedia?: ReadMedia | undefined;
  /** Pixels of all pictures of a request, and of a frame of each of its clips, checked before they are decoded; without it only the bound of each picture counts. */
  readonly maxPixels?: number | undefined;
}

/** Messages for a session, and their image mode. */
export interface ParsedMessages {
  readonly messages: ChatMessage[];
  readonly imageMode: ImageMode;
}

/** Roles of requests, and those of sessions. */
export const ROLES = { system: "system", developer: "system", user: "user", assistant: "assistant" } as const;
export const ROLE_NAMES = Object.keys(ROLES) as (keyof typeof ROLES)[];
const NO_TOOLS = "tools are not called here; put what a tool said into a user message";
/** Unsupported roles of OpenAI, and names of roles in other APIs. */
const OTHER_ROLES = {
  tool: NO_TOOLS,
  function: NO_TOOLS,
  human: 'did you mean "user"?',
  ...Object.fromEntries(["ai", "bot", "model", "gpt"].map((role) => [role, 'did you mean "assistant"?'])),
};
const MESSAGE_FIELDS = ["role", "content", "name"];
/** Fields of assistant messages in OpenAI's responses; empty in ours. */
const ANSWER_FIELDS: Readonly<Record<string, string>> = {
  refusal: "leave it out; put the text of a refusal into content",
  annotations: "leave it out: web search is not supported",
  audio: "leave it out: audio is not supported; put its transcript into content",
  tool_calls: "leave it out: tools are not called here; put what was called, and what it said, into content as text",
  function_call: "leave it out: function calls are not supported; put the call and its output into content as text",
};
const OTHER_MESSAGE_FIELDS = {
  tool_call_id: "leave it out: it belongs to tool messages, and tools are not called here",
  images: 'send pictures as parts of content: { "type": "image_url", "image_url": { "url": "data:…;base64,…" } }',
  text: "send the text as content",
};
const TYPES = ["text", "image_url", "video_url"] as const;
/** Part types of other APIs. */
const OTHER_TYPES: Readonly<Record<string, string>> = {
  input_text: 'send { "type": "text", "text": "…" }: this is a part of the Responses API',
  output_text: 'send { "type": "text", "text": "…" }: this is a part of the Responses API',
  input_image: 'send { "type": "image_url", "image_url": { "url": "…" } }: this is a part of the Responses API',
  input_video: 'send { "type": "video_url", "video_url": { "url": "…" } }',
  refusal: "send the text of a refusal as a text part",
  input_audio: "send text, pictures and clips: audio is not supported",
  audio_url: "send text, pictures and clips: audio is not supported",
  file: "send text, pictures and clips: documents are not supported",
};
const DETAILS = ["auto", "low", "high"] as const;
/** More than fit a context of 32,768 tokens at 196 tokens per frame. */
const MOST_FRAMES = 256;

/** Validates a request's messages and reads their pictures and clips. Throws RequestError, and errors of `readMedia`. */
export async function readMessages(value: unknown, signal: AbortSignal, media: MediaOptions): Promise<ParsedMessages> {
  if (!Array.isArray(value) || value.length === 0) {
    throw new RequestError("messages", {
      expected: "a list of at least one message",
      got: shown(value),
      remedy: 'send [{ "role": "user", "content": "…" }]',
    });
  }
  const reading = new Reading(signal, media);
  const messages: ChatMessage[] = [];
  for (const [i, given] of value.entries()) {
    const param = `messages[${i}]`;
    const message = objectAt(param, given);
    // Check the role first: an unsupported role explains its fields.
    const role = ROLES[nameAmong(`${param}.role`, message.role, ROLE_NAMES, OTHER_ROLES)];
    checkFields(param, message, [...MESSAGE_FIELDS, ...Object.keys(ANSWER_FIELDS)], OTHER_MESSAGE_FIELDS);
    checkEmpty(param, message);
    messages.push({ role, content: await contentOf(param, message.content, reading) });
  }
  return { messages, imageMode: imageModeOf(reading.details) };
}

/** The image mode that all pictures ask for; "auto" if they differ. */
export function imageModeOf(details: readonly string[]): ImageMode {
  const [detail] = details;
  const alike = details.every((other) => other === detail);
  return !alike ? "auto" : detail === "low" ? "pad" : detail === "high" ? "anyres" : "auto";
}

function checkEmpty(param: string, message: Fields): void {
  for (const [name, remedy] of Object.entries(ANSWER_FIELDS)) {
    const value = message[name];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue;
    throw new RequestError(
      `${param}.${name}`,
      { expected: "none", got: shown(value), remedy },
      { status: 400, code: "unsupported_parameter" },
    );
  }
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The media of one request. */
export class Reading {
  /** The `detail` of each picture. */
  readonly details: string[] = [];
  #pixels = 0;

  constructor(
    readonly signal: AbortSignal,
    readonly media: MediaOptions,
  ) {}

  /**
   * Counts the pixels of a picture, or of a clip's frame, that is to be decoded; `sizeOf` reads its headers. Throws RequestError for too
   * many.
   */
  async countPixels(param: string, sizeOf: () => Size | Promise<Size>): Promise<void> {
    const { maxPixels } = this.media;
    if (maxPixels === undefined) return;
    const { width, height } = await sizeOf();
    this.#pixels += width * height;
    if (this.#pixels <= maxPixels) return;
    throw new RequestError(
      param,
      {
        expected: `at most ${maxPixels} pixels in all pictures, and a frame of each clip, of a request (\`--max-pixels\` sets it)`,
        got: `one of ${width} × ${height}, ${this.#pixels} pixels with those before it`,
        remedy: "send smaller pictures: the model reads at most a few megapixels of each",
      },
      { status: 413, code: "too_many_pixels" },
    );
  }
}

async function contentOf(param: string, content: unknown, reading: Reading): Promise<ChatMessage["content"]> {
  if (isText(content)) return content;
  if (!Array.isArray(content) || content.length === 0) {
    throw new RequestError(`${param}.content`, {
      expected: "a text or a list of parts",
      got: shown(content),
      remedy: 'send a text (it may be empty: ""), or [{ "type": "text", "text": "…" }]',
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
  const type = nameAmong(`${param}.type`, part.type, TYPES, OTHER_TYPES);
  checkFields(param, part, ["type", type]);
  if (type === "text") {
    if (isText(part.text)) return { type, text: part.text };
    throw new RequestError(`${param}.text`, { expected: "a text", got: shown(part.text), remedy: "send a string" });
  }
  const place = `${param}.${type}`;
  const named = part[type];
  if (!isObject(named)) {
    const remedy = `send { "type": "${type}", "${type}": { "url": "data:…;base64,…" } }`;
    throw new RequestError(place, { expected: "an object with a url", got: shown(named), remedy });
  }
  if (type === "image_url") {
    checkFields(place, named, ["url", "detail"]);
    return readImage(place, { url: named.url, detail: named.detail }, `${place}.url`, reading);
  }
  checkFields(place, named, ["url", "frames", "track"]);
  return readVideo(place, named, named.url, `${place}.url`, reading);
}

/** Reads a picture; `param`: where `detail` is, `urlParam`: where the URL is. Throws RequestError. */
export async function readImage(
  param: string,
  { url, detail }: { url: unknown; detail: unknown },
  urlParam: string,
  reading: Reading,
): Promise<ImageContent> {
  reading.details.push(nameAmong(`${param}.detail`, detail ?? "auto", DETAILS));
  const image = await bytesOf(urlParam, url, reading);
  await reading.countPixels(urlParam, () => inspectPicture(image, urlParam));
  return { type: "image", image };
}

/** Reads a clip, and `frames` and `track` of `fields`. Throws RequestError. */
export async function readVideo(
  param: string,
  fields: Fields,
  url: unknown,
  urlParam: string,
  reading: Reading,
): Promise<VideoContent> {
  const expected = `a whole number from 1 to ${MOST_FRAMES}`;
  const frames = optional(fields, `${param}.frames`, expected, wholeWithin(1, MOST_FRAMES));
  const isTrack = wholeWithin(0, Number.MAX_SAFE_INTEGER);
  const track = optional(fields, `${param}.track`, "a whole number from 0, the first video track", isTrack);
  const video = await bytesOf(urlParam, url, reading);
  await reading.countPixels(urlParam, async () => {
    const { clipSize } = await import("../io/video.js");
    return clipSize(video, urlParam, { track, signal: reading.signal });
  });
  return { type: "video", video, ...(frames !== undefined && { frames }), ...(track !== undefined && { track }) };
}

async function bytesOf(param: string, url: unknown, { signal, media: { readMedia } }: Reading): Promise<Uint8Array> {
  if (!isText(url) || url === "") {
    throw new RequestError(param, { expected: "a URL", got: shown(url), remedy: "send data:…;base64,…" });
  }
  if (/^data:/i.test(url)) return bytesOfDataURL(param, url);
  if (readMedia) return readMedia(url, { param, signal });
  throw new RequestError(param, {
    expected: "a data: URL",
    got: shown(url),
    remedy: "send the bytes as data:…;base64,…: other URLs are not fetched",
  });
}

function bytesOfDataURL(param: string, url: string): Uint8Array {
  const comma = url.indexOf(",");
  const isBase64 = comma > 0 && /;base64$/i.test(url.slice(0, comma));
  try {
    if (!isBase64) throw new Error("not base64");
    const binary = atob(url.slice(comma + 1));
    if (binary === "") throw new Error("no bytes");
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  } catch (cause) {
    throw new RequestError(param, {
      expected: "data:…;base64, and base64 after it",
      got: `${shown(url)} (${isBase64 ? "invalid or empty base64" : "no `;base64,`"})`,
      remedy: "encode the file's bytes as base64",
      cause,
    });
  }
}
