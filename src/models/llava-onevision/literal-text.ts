/**
 * Prompt-injection protection: finds the characters of a rendered prompt that come from message texts. Added tokens and placeholders
 * are parsed in the other characters only, so that `<image>` or `<|im_end|>` in a user's text stays text.
 *
 * A template is a program that may transform texts. It therefore renders the conversation twice: unchanged, and with the characters of
 * its texts blanked out one by one. If both renderings are equal except for the blanks, the blanks mark the message texts. Templates
 * that inspect texts need some of their characters: several blankings are tried, beginning with the one that preserves none.
 */

import { PromptError } from "../../base/errors.js";
import type { Tokenizer } from "../../io/tokenizer.js";
import { type ChatTemplate, PLACEHOLDERS } from "./chat-template.js";
import { type Message, partsOf } from "./messages.js";

/**
 * How added tokens and placeholders in message texts are read: "literal", as plain text, or "parse", as tokens and placeholders, like
 * those that the template writes.
 */
export type SpecialTokens = "literal" | "parse";

/** Unicode noncharacters: no token contains them, and those in a text are blanked out as well. */
const BLANK = "\uFFFF";
const OPEN = "\uFDD0";
const CLOSE = "\uFDD1";

/** A way to blank out texts; `read` postprocesses the rendering. */
interface Blanking {
  blank(text: string): string;
  read(rendered: string): string;
}

const WHOLE: Blanking = { blank: (text) => blanks(text), read: (rendered) => rendered };

/** For templates that trim texts: preserves the white space around them. */
const TRIMMED: Blanking = {
  blank(text) {
    const start = text.length - text.trimStart().length;
    const inner = text.trim();
    return text.slice(0, start) + blanks(inner) + text.slice(start + inner.length);
  },
  read: (rendered) => rendered,
};

/**
 * For templates that search texts for words or split at them: preserves white space and these words. Each word is put between marks
 * together with its adjacent white space, so that trimming after a split does not change it. With `trims`, white space at the ends of
 * the text stays outside the marks.
 */
function around(words: readonly string[], trims: boolean): Blanking {
  const word = words
    .filter((text) => text.trim() !== "")
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"))
    .join("|");
  const found = new RegExp(`(\\s*(?:${word || "(?!)"})\\s*)|\\s+|[^]`, "g");
  const marked = new RegExp(`${OPEN}([^${OPEN}${CLOSE}]*)${CLOSE}`, "g");
  const kept = new Set<string>();
  return {
    blank: (text) =>
      text.replace(found, (part: string, known: string | undefined, at: number) => {
        if (known === undefined) return part.trim() === "" ? part : BLANK;
        const start = trims && at === 0 ? part.length - part.trimStart().length : 0;
        const end = trims && at + part.length === text.length ? part.trimEnd().length : part.length;
        const inner = part.slice(start, end);
        kept.add(inner);
        return part.slice(0, start) + OPEN + inner + CLOSE + part.slice(end);
      }),
    read: (rendered) =>
      rendered
        // A template may replace the word between the marks by its own.
        .replace(marked, (_, inner: string) => (kept.has(inner) ? TRIMMED.blank(inner) : inner))
        .replace(/[\uFDD0\uFDD1]/g, ""),
  };
}

/**
 * Returns `prompt`, the rendering of these messages, with every character of their texts blanked out; its length is unchanged.
 * @throws PromptError if the template transforms a text that contains an added token, so that it cannot be located.
 */
export function withoutTexts(
  prompt: string,
  messages: readonly Message[],
  template: ChatTemplate,
  tokenizer: Pick<Tokenizer, "addedTokensIn">,
): string {
  for (const blanking of [WHOLE, TRIMMED, around(template.words, false), around(template.words, true)]) {
    const blanked = rendered(messages, template, blanking);
    if (blanked !== undefined && isSameElsewhere(prompt, blanked)) return blanked;
  }
  // Safe without blanking if the texts contain no added token and the template's transformations create none.
  // Tokenizers may lack the placeholders, so these are searched for separately.
  const found = (text: string): string[] => [...tokenizer.addedTokensIn(text), ...(text.match(PLACEHOLDERS) ?? [])];
  const typed = textsOf(messages).flatMap(found);
  const own = found(rendered(messages, template, TRIMMED) ?? "");
  if (typed.length === 0 && own.join() === found(prompt).join()) return prompt;
  throw new PromptError({
    where: `messages under the template of ${template.origin}`,
    expected:
      "texts without special tokens: the template changes texts, so that special tokens in texts can't be distinguished from its own",
    got: typed[0] ?? "parts of a special token",
    remedy: `leave it out, choose the built-in template "onevision", or pass specialTokens: "parse" for text that you trust`,
  });
}

function textsOf(messages: readonly Message[]): string[] {
  return messages.flatMap(partsOf).flatMap((part) => (part.type === "text" ? [part.text] : []));
}

/** As many blanks as a text has characters. */
export function blanks(text: string): string {
  return BLANK.repeat(text.length);
}

/** Renders the messages with blanked-out texts; undefined if the template rejects them. */
function rendered(messages: readonly Message[], template: ChatTemplate, blanking: Blanking): string | undefined {
  const blanked = messages.map(
    (message): Message => ({
      role: message.role,
      content:
        typeof message.content === "string"
          ? blanking.blank(message.content)
          : message.content.map((part) => (part.type === "text" ? { ...part, text: blanking.blank(part.text) } : part)),
    }),
  );
  try {
    return blanking.read(template.render(blanked));
  } catch {
    return undefined;
  }
}

/** Whether two texts of equal length differ only where the second is blank. */
function isSameElsewhere(text: string, blanked: string): boolean {
  if (text.length !== blanked.length) return false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== blanked[i] && blanked[i] !== BLANK) return false;
  }
  return true;
}
