import { shown } from "../base/errors.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";
import { RequestError } from "./api-error.js";
import {
  imageModeOf,
  type MediaOptions,
  type ParsedMessages,
  Reading,
  ROLE_NAMES,
  ROLES,
  readImage,
  readVideo,
} from "./content.js";
import { checkFields, type Fields, isText, nameAmong, objectAt } from "./fields.js";
import type { OutputMessage } from "./responses-wire.js";

/** An item of a conversation as the client sent it, and its place in the request. */
export interface InputItem {
  readonly param: string;
  readonly item: Fields;
}

const NO_TOOLS = "tools are not called here; put what was called, and what it said, into messages as text";
const TYPES = ["message", "item_reference"] as const;
const OTHER_ITEMS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "mcp_call"].map((type) => [
      type,
      NO_TOOLS,
    ]),
  ),
  reasoning: "leave it out: the model is not a reasoning model",
  input_text: 'send it in a message: { "role": "user", "content": [ … ] }',
  input_image: 'send it in a message: { "role": "user", "content": [ … ] }',
};
const PARTS = ["input_text", "input_image", "input_video", "output_text"] as const;
const OTHER_PARTS: Readonly<Record<string, string>> = {
  text: 'did you mean "input_text"? `text` is a part of chat completions',
  image_url: 'send { "type": "input_image", "image_url": "data:…;base64,…" }: this is a part of chat completions',
  video_url: 'send { "type": "input_video", "video_url": "data:…;base64,…" }: this is a part of chat completions',
  input_file: "send text, pictures and clips: documents are not supported",
  input_audio: "send text, pictures and clips: audio is not supported",
  refusal: "send the text of a refusal as output_text",
};
const ITEM_FIELDS = ["type", "role", "content", "id", "status", "phase"];

/** Checks the list of items, and replaces references by the answers that `stored` has. Throws RequestError. */
export function readItems(input: unknown, stored: (id: string) => OutputMessage | undefined): InputItem[] {
  if (isText(input)) return [{ param: "input", item: { role: "user", content: input } }];
  if (!Array.isArray(input) || input.length === 0) {
    throw new RequestError("input", {
      expected: "a text, or a list of at least one message",
      got: shown(input),
      remedy: 'send "…", or [{ "role": "user", "content": "…" }]',
    });
  }
  return input.map((given: unknown, i) => {
    const param = `input[${i}]`;
    const item = objectAt(param, given);
    const type = nameAmong(
      `${param}.type`,
      item.type ?? (isText(item.role) ? "message" : item.type),
      TYPES,
      OTHER_ITEMS,
    );
    if (type === "message") return { param, item };
    checkFields(param, item, ["type", "id"]);
    const answer = isText(item.id) ? stored(item.id) : undefined;
    if (answer) return { param, item: answer as unknown as Fields };
    throw new RequestError(`${param}.id`, {
      expected: "the id of an answer that is still stored",
      got: shown(item.id),
      remedy: 'send the answer itself: { "role": "assistant", "content": "…" }',
    });
  });
}

/** Reads the messages of items, with their pictures and clips. Throws RequestError, and errors of `readMedia`. */
export async function readInput(
  items: readonly InputItem[],
  instructions: string | undefined,
  signal: AbortSignal,
  media: MediaOptions,
): Promise<ParsedMessages> {
  const reading = new Reading(signal, media);
  const messages: ChatMessage[] = [];
  if (instructions !== undefined) messages.push({ role: "system", content: instructions });
  for (const { param, item } of items) {
    const role = ROLES[nameAmong(`${param}.role`, item.role, ROLE_NAMES, { tool: NO_TOOLS, function: NO_TOOLS })];
    checkFields(param, item, ITEM_FIELDS);
    messages.push({ role, content: await contentOf(`${param}.content`, item.content, reading) });
  }
  return { messages, imageMode: imageModeOf(reading.details) };
}

async function contentOf(param: string, content: unknown, reading: Reading): Promise<ChatMessage["content"]> {
  if (isText(content)) return content;
  if (!Array.isArray(content) || content.length === 0) {
    throw new RequestError(param, {
      expected: "a text or a list of parts",
      got: shown(content),
      remedy: 'send a text, or [{ "type": "input_text", "text": "…" }]',
    });
  }
  const parts: Exclude<ChatMessage["content"], string>[number][] = [];
  for (const [i, given] of content.entries())
    parts.push(await partOf(`${param}[${i}]`, objectAt(`${param}[${i}]`, given), reading));
  return parts;
}

async function partOf(
  param: string,
  part: Fields,
  reading: Reading,
): Promise<Exclude<ChatMessage["content"], string>[number]> {
  const type = nameAmong(`${param}.type`, part.type, PARTS, OTHER_PARTS);
  if (type === "input_image") {
    if (part.file_id !== undefined && part.file_id !== null) {
      const remedy = "send the picture as image_url: data:…;base64,…";
      throw new RequestError(`${param}.file_id`, { expected: "none", got: shown(part.file_id), remedy });
    }
    checkFields(param, part, ["type", "image_url", "detail", "file_id"]);
    return readImage(param, { url: part.image_url, detail: part.detail }, `${param}.image_url`, reading);
  }
  if (type === "input_video") {
    checkFields(param, part, ["type", "video_url", "frames", "track"]);
    return readVideo(param, part, part.video_url, `${param}.video_url`, reading);
  }
  checkFields(param, part, ["type", "text", "annotations", "logprobs"]);
  if (isText(part.text)) return { type: "text", text: part.text };
  throw new RequestError(`${param}.text`, { expected: "a text", got: shown(part.text), remedy: "send a string" });
}
