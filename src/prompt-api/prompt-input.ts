import type { ContentPart } from "../models/chat/conversation.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";

/** A part of a message in the Prompt API; `video` is an extension. */
export type PromptContent =
  | { type: "text"; value: string }
  | { type: "image"; value: unknown }
  | { type: "video"; value: unknown; frames?: number };

/** A message in the Prompt API. */
export interface PromptMessage {
  role: "system" | "user" | "assistant";
  content: string | readonly PromptContent[];
  /** Not supported: begins the answer. */
  prefix?: boolean;
}

/** Input of `prompt` and its siblings: a text is a user message. */
export type PromptInput = string | readonly PromptMessage[];

const ROLES: readonly unknown[] = ["system", "user", "assistant"];

/**
 * Converts input to messages; `isInitial`: whether they begin a session, where a system message may come first. Throws TypeError, and
 * DOMException NotSupportedError.
 */
export function readInput(input: PromptInput, isInitial = false): ChatMessage[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  if (!Array.isArray(input)) throw new TypeError("expected a text or a list of messages");
  return (input as readonly PromptMessage[]).map(({ role, content, prefix }, i) => {
    if (!ROLES.includes(role)) throw new TypeError(`expected role system, user or assistant, got ${String(role)}`);
    if (role === "system" && !(isInitial && i === 0)) {
      throw new TypeError("expected a system message only as the first of initialPrompts");
    }
    if (prefix) throw notSupported("`prefix` is not supported: describe how the answer begins in the prompt");
    if (typeof content === "string") return { role, content };
    if (!Array.isArray(content)) throw new TypeError("expected content as a text or a list of parts");
    return { role, content: (content as readonly PromptContent[]).map(partOf) };
  });
}

function partOf(part: PromptContent): ContentPart {
  if (part.type === "text") {
    if (typeof part.value !== "string") throw new TypeError("expected the value of a text part to be a string");
    return { type: "text", text: part.value };
  }
  // The session checks media.
  if (part.type === "image") return { type: "image", image: part.value as Blob };
  if (part.type === "video") {
    const { value, frames } = part;
    return { type: "video", video: value as Blob, ...(frames !== undefined && { frames }) };
  }
  throw notSupported(
    `parts of type ${String((part as { type: unknown }).type)} are not supported: send text, images and clips`,
  );
}

/** The error of a feature that the model does not have. */
export function notSupported(message: string): DOMException {
  return new DOMException(message, "NotSupportedError");
}
