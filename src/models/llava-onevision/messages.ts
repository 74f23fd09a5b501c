/** The messages of a conversation, and their validation before rendering. */
import { PromptError, shown } from "../../base/errors.js";
import { isObject } from "../../base/is-object.js";
import { suggestion } from "../../base/options.js";

/** Role of a message. */
export type Role = "system" | "user" | "assistant";

/** A piece of text in a message. */
export interface TextPart {
  type: "text";
  text: string;
}

/**
 * One part of a message. `Image` and `Video` are the payload of media parts, which rendering does not read.
 */
export type Part<Image extends object = object, Video extends object = object> =
  | TextPart
  | ({ type: "image" } & Image)
  | ({ type: "video" } & Video);

/** One turn of a conversation; a string is shorthand for one text part. */
export interface Message<Image extends object = object, Video extends object = object> {
  role: Role;
  content: string | readonly Part<Image, Video>[];
}

const ROLES: readonly string[] = ["system", "user", "assistant"] satisfies Role[];
const TYPES: readonly string[] = ["text", "image", "video"] satisfies Part["type"][];

const IMAGE = 'write { type: "image", image: url }';
/** Names in messages of other interfaces, and what to write instead. */
const FOREIGN: Readonly<Record<string, string>> = {
  image_url: `${IMAGE}, or use ocellus/openai, which takes OpenAI's messages`,
  input_image: IMAGE,
  video_url: 'write { type: "video", video: url }',
  input_text: 'write { type: "text", text }',
  file: IMAGE,
  tool: "leave it out: the model has no tools",
};
/** Keys under which other interfaces put the media of a message beside its content. */
const BESIDE_CONTENT = ["image", "images", "video", "videos", "files", "attachments", "parts"];

/** Returns the parts of a message; string content is one text part. */
export function partsOf<I extends object, V extends object>(message: Message<I, V>): readonly Part<I, V>[] {
  return typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
}

/** Returns the pictures and clips of a conversation in order. */
export function mediaOf<I extends object, V extends object>(
  messages: readonly Message<I, V>[],
): Exclude<Part<I, V>, TextPart>[] {
  return messages.flatMap(partsOf).filter((part): part is Exclude<Part<I, V>, TextPart> => part.type !== "text");
}

/**
 * Validates messages, which may come from JSON or untyped code.
 * @throws PromptError for an empty list, an unknown role or part type (with the nearest known name), text that is not a
 *   string, a conversation without a user message or one that does not end with it.
 */
export function checkMessages(messages: unknown): asserts messages is readonly Message[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw fault("messages", "a list of at least one message", messages, 'pass [{ role: "user", content: "…" }]');
  }
  messages.forEach(checkMessage);
  const roles = messages.map((message: Message) => message.role);
  if (!roles.includes("user")) {
    throw fault("messages", "at least one user message", `only ${roles.join(", ")}`, "ask the question as role user");
  }
  if (roles.at(-1) !== "user") {
    const at = `messages[${roles.length - 1}].role`;
    throw fault(at, "user in the last message", roles.at(-1), "end the list with the user message to answer");
  }
}

function checkMessage(message: unknown, index: number): void {
  const at = `messages[${index}]`;
  if (!isObject(message)) {
    throw fault(at, "an object with role and content", message, 'pass { role: "user", content: "…" }');
  }
  checkName(`${at}.role`, message.role, ROLES, message);
  const beside = BESIDE_CONTENT.find((key) => message[key] !== undefined);
  if (beside !== undefined) {
    const remedy = 'put pictures into the content: [{ type: "image", image }, { type: "text", text }]';
    throw fault(at, "only role and content", `${beside} beside them`, remedy);
  }
  const { content } = message;
  if (typeof content === "string") return;
  if (!Array.isArray(content) || content.length === 0) {
    throw fault(`${at}.content`, "text or a list of parts", content, "pass a string, or text, image and video parts");
  }
  content.forEach((part: unknown, i) => {
    const where = `${at}.content[${i}]`;
    if (!isObject(part)) throw fault(where, "a part with a type", part, 'pass { type: "text", text: "…" }');
    checkName(`${where}.type`, part.type, TYPES, part);
    if (part.type === "text" && typeof part.text !== "string") {
      throw fault(`${where}.text`, "a string", part.text, 'write { type: "text", text: "…" }');
    }
  });
}

function checkName(where: string, value: unknown, known: readonly string[], holder: object): void {
  if (typeof value === "string" && known.includes(value)) return;
  const foreign = typeof value === "string" && Object.hasOwn(FOREIGN, value) ? FOREIGN[value] : undefined;
  const near = typeof value === "string" ? suggestion(value, known, JSON.stringify) : undefined;
  const shape = 'a message is { role: "user", content }, a part { type: "text", text } or { type: "image", image }';
  throw fault(
    where,
    known.map((name) => JSON.stringify(name)).join(" or "),
    value ?? holder,
    foreign ?? near ?? (value === undefined ? shape : "use one of these names"),
  );
}

function fault(where: string, expected: string, got: unknown, remedy: string): PromptError {
  const text = typeof got === "string" ? got.slice(0, 80) : got === undefined ? "undefined" : shown(got, 80);
  return new PromptError({ where, expected, got: text, remedy });
}
