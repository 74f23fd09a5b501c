/**
 * Which characters of a rendered prompt the messages brought. Added tokens and placeholders are looked for in the others only, so
 * that `<image>` or `<|im_end|>` in somebody's text stays text.
 *
 * A template is a program and may do anything with a text. So it renders the conversation twice: as it is, and with the characters of
 * its texts blanked out, as many as before. Where the second rendering equals the first but for the blanks, these are what the
 * messages brought. Templates that look into texts need some of the characters: they are tried from none on.
 */
import type { Tokenizer } from "../../io/tokenizer.js";
import { PromptError } from "../../runtime/errors.js";
import { type ChatTemplate, PLACEHOLDERS } from "./chat-template.js";
import { type Message, partsOf } from "./messages.js";

/**
 * What added tokens and placeholders in the text of messages are: "literal", plain characters like all other, or "parse", the tokens
 * and placeholders that they are in what the template writes.
 */
export type SpecialTokens = "literal" | "parse";

/** Noncharacters of Unicode: no tokens have them, and what a text has of them is blanked out like all it has. */
const BLANK = "\uFFFF";
const OPEN = "\uFDD0";
const CLOSE = "\uFDD1";

/** Blanks a text's characters out; `read` gives what was rendered with such texts its final form. */
interface Blanking {
  blank(text: string): string;
  read(rendered: string): string;
}

const WHOLE: Blanking = { blank: (text) => blanks(text), read: (rendered) => rendered };

/** For templates that trim: white space around a text stays. */
const TRIMMED: Blanking = {
  blank(text) {
    const start = text.length - text.trimStart().length;
    const inner = text.trim();
    return text.slice(0, start) + blanks(inner) + text.slice(start + inner.length);
  },
  read: (rendered) => rendered,
};

/**
 * For templates that look for words in a text, or split it at them: white space stays, and these words, each with the white space
 * beside it between marks, so that a template that trims what it split does not meet them. For one that trims the text (`trims`) the
 * white space at its ends is outside of them.
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
        // Marks that a template took the word from between may have words of its own there.
        .replace(marked, (_, inner: string) => (kept.has(inner) ? TRIMMED.blank(inner) : inner))
        .replace(/[\uFDD0\uFDD1]/g, ""),
  };
}

/**
 * `prompt`, rendered of these messages, with every character that they brought blanked out; as long as it was.
 * @throws PromptError when the template changes a text with an added token so that it is not found again.
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
  // Nothing has to be found if texts have no added token, and none comes of what the template does to them.
  // The placeholders of a tokenizer without them are none of its tokens.
  const found = (text: string): string[] => [...tokenizer.addedTokensIn(text), ...(text.match(PLACEHOLDERS) ?? [])];
  const typed = textsOf(messages).flatMap(found);
  const own = found(rendered(messages, template, TRIMMED) ?? "");
  if (typed.length === 0 && own.join() === found(prompt).join()) return prompt;
  throw new PromptError({
    where: `messages under the template of ${template.origin}`,
    expected: "texts without special tokens: the template changes texts, so that theirs can't be told from its own",
    got: typed[0] ?? "parts of one",
    remedy: `leave it out, choose the built-in template "onevision", or pass specialTokens: "parse" for text that you trust`,
  });
}

function textsOf(messages: readonly Message[]): string[] {
  return messages.flatMap(partsOf).flatMap((part) => (part.type === "text" ? [part.text] : []));
}

function blanks(text: string): string {
  return BLANK.repeat(text.length);
}

/** The prompt of blanked out texts; undefined when the template refuses them. */
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
