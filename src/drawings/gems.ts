import { type FreshDrawing, fromScene } from "./fresh.js";
import { background, type ColorName, items, placed, type Scene, size, turn } from "./objects.js";
import { Random } from "./random.js";

/** What the embedded checkpoint is not trained on: names of gems for the colours of shapes. */
const GEMS: Readonly<Record<ColorName, string>> = {
  red: "ruby",
  green: "emerald",
  blue: "sapphire",
  yellow: "topaz",
  purple: "amethyst",
  orange: "amber",
  black: "onyx",
  white: "pearl",
};

function gems(random: Random): Scene {
  const ground = background(random);
  const [width, height] = size(random);
  const [item] = items(random, 1, ground.name) as [ReturnType<typeof items>[number]];
  const { figure } = placed(random, item, width, height, random.between(0.14, 0.2));
  const answer = `The gem is ${GEMS[item.color]}.`;
  return {
    kind: "gems",
    media: [[{ width, height, background: ground.color, figures: [figure] }]],
    clips: false,
    turns: [turn("Which gem is this?", answer)],
  };
}

/**
 * Draws a shape with a question about it that the embedded checkpoint was not trained to answer, for trying `model.train`; the same seed
 * gives the same pixels and answer everywhere.
 * @example
 * ```ts
 * const { pictures, turns } = gemDrawing(3);
 * const record = {
 *   messages: [
 *     { role: "user" as const, content: [
 *       { type: "image" as const, image: pictures[0]! },
 *       { type: "text" as const, text: turns[0]!.question },
 *     ] },
 *     { role: "assistant" as const, content: turns[0]!.answer },
 *   ],
 * };
 * ```
 */
export function gemDrawing(seed: number): FreshDrawing {
  return fromScene("gems", gems(new Random(seed)), seed);
}
