import { type FreshDrawing, fromScene } from "./fresh.js";
import { background, COLORS, type Scene, size, turn, varied } from "./objects.js";
import { box, type Figure } from "./paint.js";
import { Random } from "./random.js";

/** From the top. */
const LAMPS = ["red", "yellow", "green"] as const;

function trafficLight(random: Random): Scene {
  const [width, height] = size(random);
  const radius = random.between(0.085, 0.11) * Math.min(width, height);
  const step = 2.4 * radius;
  const x = random.between(2 * radius, width - 2 * radius);
  const top = random.between(0.06, 0.94) * (height - 3.2 * step) + 0.6 * step;
  const lit = random.whole(0, LAMPS.length - 1);
  const lamps = LAMPS.map(
    (color, i): Figure => ({
      kind: "circle",
      x,
      y: top + (i + 0.5) * step,
      radius,
      color: i === lit ? varied(random, COLORS[color]) : varied(random, [72, 74, 78], 8),
    }),
  );
  const [left, right] = [x - 1.4 * radius, x + 1.4 * radius];
  const housing = box(left, top, right, top + LAMPS.length * step, varied(random, [36, 38, 42], 6));
  return {
    kind: "traffic light",
    media: [[{ width, height, background: background(random).color, figures: [housing, ...lamps] }]],
    clips: false,
    turns: [turn("What color is the light?", `The light is ${LAMPS[lit]!}.`)],
  };
}

/**
 * Draws a traffic light with a question about it, which the embedded checkpoint was not trained to answer, for trying `model.train`; the
 * same seed gives the same pixels and answer everywhere.
 * @example
 * ```ts
 * const { pictures, turns } = trafficLightDrawing(3);
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
export function trafficLightDrawing(seed: number): FreshDrawing {
  return fromScene("traffic light", trafficLight(new Random(seed)), seed);
}
