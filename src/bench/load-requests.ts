import { stripedPicture } from "./load-picture.js";

/** Whether a prompt has a picture. */
export const LOAD_PROMPTS = ["text", "picture"] as const;
export type LoadPrompt = (typeof LOAD_PROMPTS)[number];
/** Whether prompts have their beginning in common, and their picture, or differ from the first word. */
export const LOAD_PREFIXES = ["shared", "distinct"] as const;
export type LoadPrefix = (typeof LOAD_PREFIXES)[number];

/** What the requests of a load are. */
export interface LoadKind {
  readonly prompt: LoadPrompt;
  readonly prefix: LoadPrefix;
}

/** Side of a picture in pixels. */
const PICTURE_SIZE = 384;
/** Sentences before the question: some 200 tokens. */
const SENTENCES = 8;

/** Returns the body of request `number` of a kind: a streamed chat completion of `tokens` tokens, as far as the server knows `min_tokens`. */
export async function loadRequest({ prompt, prefix }: LoadKind, number: number, tokens: number): Promise<object> {
  const common = prefix === "shared" ? 0 : number + 1;
  const before = Array.from(
    { length: SENTENCES },
    (_, i) =>
      `Note ${common * SENTENCES + i}: the box in row ${i} and column ${common} has ${(i * 7 + common) % 13} parts.`,
  ).join(" ");
  const text = {
    type: "text",
    text: `${before} Question ${number}: describe what you know about row ${number % SENTENCES}.`,
  };
  const picture = {
    type: "image_url",
    image_url: { url: prompt === "picture" ? await stripedPicture(common, PICTURE_SIZE) : "" },
  };
  return {
    messages: [{ role: "user", content: prompt === "picture" ? [picture, text] : [text] }],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: tokens,
    min_tokens: tokens,
  };
}
