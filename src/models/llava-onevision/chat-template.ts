/** Chat templates: messages to the text of a prompt, and the built-in prompt format of training. */
import { type Message, partsOf } from "./messages.js";

/** Placeholder of a picture in a rendered prompt. */
export const IMAGE_PLACEHOLDER = "<image>";
/** Placeholder of a clip, unless the template writes {@link IMAGE_PLACEHOLDER} for clips as well. */
export const VIDEO_PLACEHOLDER = "<video>";
/** Matches both placeholders. */
export const PLACEHOLDERS = new RegExp(`${IMAGE_PLACEHOLDER}|${VIDEO_PLACEHOLDER}`, "g");

/** Renders messages to the text of a prompt, which ends with the assistant's header. */
export class ChatTemplate {
  /** The built-in prompt format of training (`qwen_1_5`). */
  static readonly onevision = new ChatTemplate("onevision", renderOneVision);

  constructor(
    /** The file the template comes from, or `onevision`. */
    readonly origin: string,
    private readonly renderer: (messages: readonly Message[]) => string,
    /** Strings that it may search for in texts: its string literals and special tokens. */
    readonly words: readonly string[] = [],
  ) {}

  /** The prompt's text for messages that passed `checkMessages`. @throws PromptError when the template refuses them. */
  render(messages: readonly Message[]): string {
    return this.renderer(messages);
  }
}

/** Placeholders first, separated by spaces, then each text on its own line; clips use `<image>` like pictures. */
export function flatContent(message: Message): string {
  const parts = partsOf(message);
  const marks = parts.filter((part) => part.type !== "text").map(() => IMAGE_PLACEHOLDER);
  const texts = parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
  return [...(marks.length > 0 ? [marks.join(" ")] : []), ...texts].join("\n");
}

/** The prompt format of training (`qwen_1_5`), with its default system prompt. */
function renderOneVision(messages: readonly Message[]): string {
  const system: Message = { role: "system", content: "You are a helpful assistant." };
  const all = messages[0]?.role === "system" ? messages : [system, ...messages];
  const turns = all.map((message) => `<|im_start|>${message.role}\n${flatContent(message)}<|im_end|>\n`);
  return `${turns.join("")}<|im_start|>assistant\n`;
}
