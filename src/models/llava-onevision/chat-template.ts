/** Chat templates: the checkpoint's own, in Jinja, and the text form the family was trained with. */
import { Template, tokenize } from "@huggingface/jinja";
import { CheckpointError, PromptError } from "../../runtime/errors.js";
import { type Message, partsOf } from "./messages.js";

/** Where a picture stands in a rendered prompt. */
export const IMAGE_PLACEHOLDER = "<image>";
/** Where a clip stands in a rendered prompt, unless the template writes {@link IMAGE_PLACEHOLDER} for clips as well. */
export const VIDEO_PLACEHOLDER = "<video>";
/** Finds both. */
export const PLACEHOLDERS = new RegExp(`${IMAGE_PLACEHOLDER}|${VIDEO_PLACEHOLDER}`, "g");

/** The files a checkpoint may keep its template in; absent ones are left out. */
export interface ChatTemplateFiles {
  /** Text of `chat_template.jinja`. */
  jinja?: string;
  /** Parsed `chat_template.json`. */
  json?: unknown;
  /** Parsed `tokenizer_config.json`; also gives `bos_token`, `eos_token` and the like to the template. */
  tokenizerConfig?: unknown;
}

const REMEDY = 'download the file again, or choose the built-in template "onevision"';

/** How messages become the text of a prompt, the assistant's header at its end. */
export class ChatTemplate {
  /** The text form of training, independent of a checkpoint's files. */
  static readonly onevision = new ChatTemplate("onevision", renderOneVision);

  private constructor(
    /** The file the template comes from, or `onevision`. */
    readonly origin: string,
    private readonly renderer: (messages: readonly Message[]) => string,
    /** Words that it may look for in texts: its string literals, and the special tokens that it may name. */
    readonly words: readonly string[] = [],
  ) {}

  /**
   * The template of a checkpoint: `chat_template.jinja`, else `chat_template.json`, else the one in `tokenizer_config.json`,
   * else {@link ChatTemplate.onevision}. A template for text only (Qwen2's own) gets each message as one string that begins
   * with its placeholders.
   * @throws CheckpointError when the file has no usable template.
   */
  static fromCheckpoint(files: ChatTemplateFiles): ChatTemplate {
    const found = findTemplate(files);
    if (found === undefined) return ChatTemplate.onevision;
    const { origin, source } = found;
    let template: Template;
    let literals: string[];
    try {
      template = new Template(neutralGeneration(withoutReturns(source)));
      literals = stringLiterals(withoutReturns(source));
    } catch (cause) {
      throw new CheckpointError({
        where: origin,
        expected: "a Jinja template",
        got: reason(cause),
        remedy: REMEDY,
        cause,
      });
    }
    const named = specialTokens(files.tokenizerConfig);
    const variables = {
      ...named,
      tools: null,
      documents: null,
      add_generation_prompt: true,
    };
    const render = (messages: readonly object[]) => template.render({ ...variables, messages });
    const toMessages = probe(origin, render);
    const refusing = (messages: readonly Message[]): string => {
      try {
        return render(messages.map(toMessages));
      } catch (cause) {
        throw new PromptError({
          where: `messages under the template of ${origin}`,
          expected: "messages the template accepts",
          got: reason(cause),
          remedy: 'change the order or roles of the messages, or choose the built-in template "onevision"',
          cause,
        });
      }
    };
    return new ChatTemplate(origin, refusing, [...new Set([...literals, ...Object.values(named)])]);
  }

  /** The prompt's text for messages that passed `checkMessages`. @throws PromptError when the template refuses them. */
  render(messages: readonly Message[]): string {
    return this.renderer(messages);
  }
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** Jinja's lexer reads every end of a line as a line feed. */
function withoutReturns(source: string): string {
  return source.replace(/\r\n?/g, "\n");
}

function findTemplate(files: ChatTemplateFiles): { origin: string; source: string } | undefined {
  if (files.jinja !== undefined) return { origin: "chat_template.jinja", source: files.jinja };
  if (files.json !== undefined) {
    const origin = "chat_template.json";
    return { origin, source: pickTemplate(origin, field(files.json, "chat_template")) };
  }
  const inConfig = field(files.tokenizerConfig, "chat_template");
  if (inConfig === undefined || inConfig === null) return undefined;
  const origin = "tokenizer_config.json: chat_template";
  return { origin, source: pickTemplate(origin, inConfig) };
}

/** A template is a string, or several by name, of which the reference takes `default`. */
function pickTemplate(origin: string, value: unknown): string {
  if (typeof value === "string") return value;
  const entries: [unknown, unknown][] = Array.isArray(value)
    ? value.map((entry) => [field(entry, "name"), field(entry, "template")])
    : Object.entries(value ?? {});
  const chosen = entries.find(([name]) => name === "default")?.[1];
  if (typeof chosen === "string") return chosen;
  const got =
    entries.length > 0
      ? `names ${entries.map(([name]) => String(name)).join(", ")}`
      : (JSON.stringify(value) ?? "nothing");
  throw new CheckpointError({ where: origin, expected: 'a template, or one named "default"', got, remedy: REMEDY });
}

/**
 * `{% generation %}` marks the model's own words for training and changes no text. As `{% if true %}` it keeps its white-space
 * rules (`{%-`, `-%}`, the line end after a tag) and its neighbours'; the library's own removal of the tag loses some of them.
 */
function neutralGeneration(source: string): string {
  return source
    .replace(/\{%(-?)\s*generation\s*(-?)%\}/g, "{%$1 if true $2%}")
    .replace(/\{%(-?)\s*endgeneration\s*(-?)%\}/g, "{%$1 endif $2%}");
}

/** The words in quotes of a template's expressions. */
function stringLiterals(source: string): string[] {
  const tokens: readonly { type: string; value: string }[] = tokenize(source);
  return tokens.filter(({ type }) => type === "StringLiteral").map(({ value }) => value);
}

/** `bos_token` and the like, which a template may name. */
function specialTokens(tokenizerConfig: unknown): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const name of ["bos_token", "eos_token", "pad_token", "unk_token"]) {
    const value = field(tokenizerConfig, name);
    const text = typeof value === "string" ? value : field(value, "content");
    if (typeof text === "string") tokens[name] = text;
  }
  return tokens;
}

/** What a template sees of a message. Payloads stay out: the library would walk through every pixel. */
type ForTemplate = (message: Message) => { role: string; content: string | { type: string; text?: string }[] };

const asParts: ForTemplate = (message) => ({
  role: message.role,
  content: partsOf(message).map((part) =>
    part.type === "text" ? { type: part.type, text: part.text } : { type: part.type },
  ),
});

const asText: ForTemplate = (message) => ({ role: message.role, content: flatContent(message) });

/** Finds out by trial whether a template goes through a list of parts or pastes a string. */
function probe(origin: string, render: (messages: readonly object[]) => string): ForTemplate {
  const text = "What is shown?";
  const message: Message = { role: "user", content: [{ type: "image" }, { type: "text", text }] };
  let refusal: unknown;
  for (const form of [asParts, asText]) {
    try {
      const prompt = render([form(message)]);
      // A list pasted as text shows its field names instead of a placeholder.
      if (prompt.split(IMAGE_PLACEHOLDER).length === 2 && prompt.includes(text)) return form;
    } catch (cause) {
      refusal ??= cause;
    }
  }
  throw new CheckpointError({
    where: origin,
    expected: `a template that writes ${IMAGE_PLACEHOLDER} for a picture, or pastes a message's text`,
    got: refusal === undefined ? "neither" : reason(refusal),
    remedy: 'choose the built-in template "onevision"',
    cause: refusal,
  });
}

/** Placeholders first, joined by a space, then each text on a line of its own; a clip has one `<image>` like a picture. */
function flatContent(message: Message): string {
  const parts = partsOf(message);
  const marks = parts.filter((part) => part.type !== "text").map(() => IMAGE_PLACEHOLDER);
  const texts = parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
  return [...(marks.length > 0 ? [marks.join(" ")] : []), ...texts].join("\n");
}

/** The form of training (`qwen_1_5`), with its system prompt where the caller gives none. */
function renderOneVision(messages: readonly Message[]): string {
  const system: Message = { role: "system", content: "You are a helpful assistant." };
  const all = messages[0]?.role === "system" ? messages : [system, ...messages];
  const turns = all.map((message) => `<|im_start|>${message.role}\n${flatContent(message)}<|im_end|>\n`);
  return `${turns.join("")}<|im_start|>assistant\n`;
}
