/** Converts messages to the decoder's token ids: renders, encodes, and expands the placeholder of each medium. */

import { CheckpointError, PromptError } from "../../base/errors.js";
import type { Tokenizer } from "../../io/tokenizer.js";
import { type ChatTemplate, IMAGE_PLACEHOLDER, PLACEHOLDERS, VIDEO_PLACEHOLDER } from "./chat-template.js";
import { checkMessages, type Message } from "./messages.js";

export { ChatTemplate, IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER } from "./chat-template.js";
export { checkMessages, type Message, mediaOf, type Part, partsOf, type Role, type TextPart } from "./messages.js";

/** A picture or a clip, and its number of visual tokens. */
export interface Medium {
  kind: "image" | "video";
  tokens: number;
}

/** Placeholder ids of visual tokens; their embeddings are not used. */
export interface PlaceholderIds {
  image: number;
  video: number;
}

/** Rows `start` … `start + length - 1` of the sequence belong to the `index`-th picture or clip (counted by kind). */
export interface Span {
  kind: "image" | "video";
  index: number;
  start: number;
  length: number;
}

/** A prompt as token ids. */
export interface ExpandedPrompt {
  /** One id per placeholder. */
  promptIds: number[];
  /** `[T]`, every placeholder repeated once per visual token of its medium. */
  inputIds: number[];
  /** In the order of the sequence. */
  spans: Span[];
}

/**
 * Renders the prompt's text, with one placeholder per picture and clip and the assistant's header at the end.
 * @throws PromptError when the messages are malformed or the template rejects them.
 */
export function renderPrompt(messages: readonly Message[], template: ChatTemplate): string {
  checkMessages(messages);
  return template.render(messages);
}

/**
 * Returns the placeholder ids of a checkpoint. `config.json` takes precedence; a tokenizer without `<image>` (lmms-lab) reserves
 * the id after its last token for the picture and the next one for the clip.
 * @throws CheckpointError when the config and the tokenizer disagree or neither names the picture's id.
 */
export function placeholderIds(
  tokenizer: Pick<Tokenizer, "idOf" | "tokenOf">,
  config: { imageTokenIndex?: number | undefined; videoTokenIndex?: number | undefined },
): PlaceholderIds {
  const image = config.imageTokenIndex ?? tokenizer.idOf(IMAGE_PLACEHOLDER);
  if (image === undefined) {
    throw new CheckpointError({
      where: "config.json: image_token_index",
      expected: `the id of ${IMAGE_PLACEHOLDER}`,
      got: "none, and none in the tokenizer",
      remedy: "add image_token_index, 151646 in the published checkpoints",
    });
  }
  const video = config.videoTokenIndex ?? tokenizer.idOf(VIDEO_PLACEHOLDER) ?? image + 1;
  for (const [name, id, placeholder] of [
    ["image_token_index", image, IMAGE_PLACEHOLDER],
    ["video_token_index", video, VIDEO_PLACEHOLDER],
  ] as const) {
    const known = tokenizer.idOf(placeholder);
    const token = tokenizer.tokenOf(id);
    if ((known === undefined || known === id) && (token === undefined || token === placeholder)) continue;
    throw new CheckpointError({
      where: `config.json: ${name}`,
      expected:
        known === undefined ? `an id for ${placeholder} that no other token has` : `${known} for ${placeholder}`,
      got: `${id}, ${token === undefined ? "which the tokenizer lacks" : `which is ${token}`}`,
      remedy: "take config.json and tokenizer.json from the same checkpoint",
    });
  }
  return { image, video };
}

/**
 * Encodes a rendered prompt and expands every placeholder to the visual tokens of its medium.
 *
 * The text is cut at the `<image>` and `<video>` of `searched` and the pieces are encoded apart, which equals encoding the whole where
 * these are special tokens and is the only way where the tokenizer lacks them. `media` lists pictures and clips in the order of
 * the messages: `<image>` takes the next picture and `<video>` the next clip; where the template writes `<image>` for clips as
 * well, each takes the next medium of either kind.
 *
 * @throws PromptError when the placeholders do not match the media one to one.
 */
export function expandPrompt(
  prompt: string,
  media: readonly Medium[],
  tokenizer: Pick<Tokenizer, "encode">,
  ids: PlaceholderIds,
  searched = prompt,
): ExpandedPrompt {
  const pieces = searched.split(CUTS);
  const order = assign(pieces, media);
  const promptIds: number[] = [];
  const inputIds: number[] = [];
  const spans: Span[] = [];
  let next = 0;
  let at = 0;
  pieces.forEach((piece, i) => {
    const from = at;
    at += piece.length;
    // Splitting at a captured expression leaves text at the even places and placeholders at the odd ones.
    if (i % 2 === 0) {
      for (const id of tokenizer.encode(prompt.slice(from, at), piece)) {
        promptIds.push(id);
        inputIds.push(id);
      }
      return;
    }
    const { kind, index, tokens } = order[next++]!;
    promptIds.push(ids[kind]);
    spans.push({ kind, index, start: inputIds.length, length: tokens });
    for (let n = 0; n < tokens; n++) inputIds.push(ids[kind]);
  });
  return { promptIds, inputIds, spans };
}

const CUTS = new RegExp(`(${PLACEHOLDERS.source})`);

/** Returns the media in the order of the placeholders, each with its index among its kind. */
function assign(pieces: readonly string[], media: readonly Medium[]): (Medium & { index: number })[] {
  const seen = { image: 0, video: 0 };
  const numbered = media.map((medium) => ({ ...medium, index: seen[medium.kind]++ }));
  const marks = pieces.filter((_, i) => i % 2 === 1);
  const images = marks.filter((mark) => mark === IMAGE_PLACEHOLDER).length;
  const videos = marks.length - images;
  if (images === seen.image && videos === seen.video) {
    const queue = {
      image: numbered.filter((medium) => medium.kind === "image"),
      video: numbered.filter((medium) => medium.kind === "video"),
    };
    return marks.map((mark) => queue[mark === IMAGE_PLACEHOLDER ? "image" : "video"].shift()!);
  }
  if (videos === 0 && images === numbered.length) return numbered;
  const more = marks.length > numbered.length;
  throw new PromptError({
    where: "prompt",
    expected: `one placeholder for each of ${count(seen.image, "picture")} and ${count(seen.video, "clip")}`,
    got: `${images} ${IMAGE_PLACEHOLDER} and ${videos} ${VIDEO_PLACEHOLDER}`,
    remedy: more
      ? `take the literal ${IMAGE_PLACEHOLDER} or ${VIDEO_PLACEHOLDER} out of the messages' text, where specialTokens: "parse" counts it, or use a chat template that writes one for every part`
      : 'use a chat template that writes a placeholder for every image and video part, such as the built-in "onevision"',
  });
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
