/** The chat template of a checkpoint, in Jinja. Loaded on demand: the Jinja library is a large part of what a page fetches. */
import { tokenize } from "@huggingface/jinja";
import { causeMessage } from "../../base/cause-message.js";
import { CheckpointError, PromptError } from "../../base/errors.js";
import { BoundedTemplate } from "./bounded-template.js";
import { ChatTemplate, flatContent, IMAGE_PLACEHOLDER } from "./chat-template.js";
import { type Message, partsOf } from "./messages.js";

/** The files that may contain a checkpoint's template; absent ones are left out. */
export interface ChatTemplateFiles {
  /** Text of `chat_template.jinja`. */
  jinja?: string;
  /** Parsed `chat_template.json`. */
  json?: unknown;
  /** Parsed `tokenizer_config.json`; also provides `bos_token`, `eos_token` and the like to the template. */
  tokenizerConfig?: unknown;
}

const REMEDY = 'download the file again, or choose the built-in template "onevision"';

/**
 * The template of a checkpoint: `chat_template.jinja`, else `chat_template.json`, else the one in `tokenizer_config.json`,
 * else {@link ChatTemplate.onevision}. A text-only template (Qwen2's own) receives each message as one string that begins
 * with its placeholders.
 * @throws CheckpointError when the file has no usable template.
 */
export function templateFromCheckpoint(files: ChatTemplateFiles): ChatTemplate {
  const found = findTemplate(files);
  if (found === undefined) return ChatTemplate.onevision;
  const { origin, source } = found;
  let template: BoundedTemplate;
  let literals: string[];
  try {
    template = new BoundedTemplate(neutralGeneration(withoutReturns(source)));
    literals = stringLiterals(withoutReturns(source));
  } catch (cause) {
    throw new CheckpointError({
      where: origin,
      expected: "a Jinja template",
      got: causeMessage(cause),
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
  const render = (messages: readonly object[]) => template.render(messages, variables);
  const toMessages = probe(origin, render);
  const refusing = (messages: readonly Message[]): string => {
    try {
      return render(messages.map(toMessages));
    } catch (cause) {
      throw new PromptError({
        where: `messages under the template of ${origin}`,
        expected: "messages the template accepts",
        got: causeMessage(cause),
        remedy: 'change the order or roles of the messages, or choose the built-in template "onevision"',
        cause,
      });
    }
  };
  return new ChatTemplate(origin, refusing, [...new Set([...literals, ...Object.values(named)])]);
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** Normalises line endings to line feeds, as Jinja's lexer does. */
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

/** A template is a string, or several by name, of which the reference uses `default`. */
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
 * `{% generation %}` marks the assistant's tokens for training and does not change the text. Replacing it by `{% if true %}` preserves
 * white-space control (`{%-`, `-%}`, the line end after a tag), parts of which the library's own removal of the tag loses.
 */
function neutralGeneration(source: string): string {
  return source
    .replace(/\{%(-?)\s*generation\s*(-?)%\}/g, "{%$1 if true $2%}")
    .replace(/\{%(-?)\s*endgeneration\s*(-?)%\}/g, "{%$1 endif $2%}");
}

/** Returns the string literals of a template. */
function stringLiterals(source: string): string[] {
  const tokens: readonly { type: string; value: string }[] = tokenize(source);
  return tokens.filter(({ type }) => type === "StringLiteral").map(({ value }) => value);
}

/** Returns `bos_token` and the like, which are variables of the template. */
function specialTokens(tokenizerConfig: unknown): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const name of ["bos_token", "eos_token", "pad_token", "unk_token"]) {
    const value = field(tokenizerConfig, name);
    const text = typeof value === "string" ? value : field(value, "content");
    if (typeof text === "string") tokens[name] = text;
  }
  return tokens;
}

/** Converts a message for the template, without media payloads: the library would traverse every pixel. */
type ForTemplate = (message: Message) => { role: string; content: string | { type: string; text?: string }[] };

const asParts: ForTemplate = (message) => ({
  role: message.role,
  content: partsOf(message).map((part) =>
    part.type === "text" ? { type: part.type, text: part.text } : { type: part.type },
  ),
});

const asText: ForTemplate = (message) => ({ role: message.role, content: flatContent(message) });

/** Detects by a test rendering whether a template iterates over parts or inserts a string. */
function probe(origin: string, render: (messages: readonly object[]) => string): ForTemplate {
  const text = "What is shown?";
  const message: Message = { role: "user", content: [{ type: "image" }, { type: "text", text }] };
  let refusal: unknown;
  for (const form of [asParts, asText]) {
    try {
      const prompt = render([form(message)]);
      // A list inserted as text shows its field names instead of a placeholder.
      if (prompt.split(IMAGE_PLACEHOLDER).length === 2 && prompt.includes(text)) return form;
    } catch (cause) {
      refusal ??= cause;
    }
  }
  throw new CheckpointError({
    where: origin,
    expected: `a template that writes ${IMAGE_PLACEHOLDER} for a picture, or inserts a message's text`,
    got: refusal === undefined ? "neither" : causeMessage(refusal),
    remedy: 'choose the built-in template "onevision"',
    cause: refusal,
  });
}
