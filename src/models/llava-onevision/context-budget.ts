import { ContextOverflowError } from "../../base/errors.js";
import type { LlavaOneVisionConfig } from "./config.js";
import { padImageTokens } from "./packing.js";
import type { PreparedPrompt } from "./processor.js";

const DEFAULT_NEW_TOKENS = 256;

/**
 * Returns the token budget of an answer: the requested number, else 256, or fewer if the context is nearly full.
 * Throws ContextOverflowError, whose remedy states what would fit.
 */
export function newTokenBudget(
  prompt: PreparedPrompt,
  config: LlavaOneVisionConfig,
  wanted: number | undefined,
): number {
  const { maxPositions } = config.text;
  const length = prompt.inputIds.length;
  const free = maxPositions - length;
  if (free >= (wanted ?? 1)) return wanted ?? Math.min(DEFAULT_NEW_TOKENS, free);
  const answer = wanted ?? 1;
  throw new ContextOverflowError(
    {
      where: "prompt",
      expected: `at most ${maxPositions} tokens in all`,
      got: `${length} of the prompt and ${answer} of the answer`,
      remedy: remedy(prompt, config, maxPositions - answer, free),
    },
    length + answer,
    maxPositions,
  );
}

/** Suggests what would fit into `available` prompt tokens. */
function remedy(prompt: PreparedPrompt, config: LlavaOneVisionConfig, available: number, free: number): string {
  if (free > 0) return `ask for at most ${free} new tokens`;
  const visual = prompt.media.reduce((sum, medium) => sum + medium.tokens, 0);
  const left = available - (prompt.inputIds.length - visual);
  const videos = prompt.media.filter((medium) => medium.kind === "video");
  const images = prompt.media.filter((medium) => medium.kind === "image");
  const imageTokens = images.reduce((sum, medium) => sum + medium.tokens, 0);
  if (videos.length > 0) {
    const perFrame = config.pooling.cells ** 2;
    const frames = Math.floor((left - imageTokens - videos.length) / perFrame);
    if (frames > 0) return `use at most ${frames} frames in all: a frame takes ${perFrame} tokens`;
  }
  if (images.length > 0) {
    const square = padImageTokens(config.vision.cells);
    const fit = Math.floor((left - (visual - imageTokens)) / square);
    if (fit > 0) return `give at most ${fit} pictures as squares of one tile (imageMode "pad"), ${square} tokens each`;
  }
  return "give fewer pictures, frames or words";
}
