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
 * For templates that look for words in a text, or split it at them: these words and white space stay, the words between marks that
 * are outside the white space, where a template that trims does not meet them.
 */
function around(words: readonly string[]): Blanking {
  const word = words
    .filter((text) => text.trim() !== "")
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"))
    .join("|");
  const found = new RegExp(`(\\s*(?:${word || "(?!)"})\\s*)|\\s+|[^]`, "g");
  const marked = new RegExp(`${OPEN}(\\s*)(${word || "(?!)"})(\\s*)${CLOSE}`, "g");
  return {
    blank: (text) =>
      text.replace(found, (part, known?: string) =>
        known !== undefined ? OPEN + part + CLOSE : part.trim() === "" ? part : BLANK,
      ),
    read: (rendered) =>
      rendered
        .replace(marked, (_, before: string, known: string, after: string) => before + blanks(known) + after)
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
  for (const blanking of [WHOLE, TRIMMED, around(template.words)]) {
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
