import { digitsAt, rowWidth } from "./digit-row.js";
import { box, type Color, type Figure } from "./paint.js";

const BLACK: Color = [0, 0, 0];

/** A numbered mark, black on white with a black border, its middle at `x` and `y` of a picture with that shorter side; pixels. */
export function markAt(number: number, x: number, y: number, shorterSide: number): Figure[] {
  const tall = markHeight(shorterSide);
  const text = String(number);
  const wide = rowWidth(text, tall, MARK_WEIGHT);
  const [left, top] = [Math.round(x - wide / 2), Math.round(y - tall / 2)];
  const plate = (around: number, color: Color): Figure =>
    box(left - around, top - around, left + Math.ceil(wide) + around, top + tall + around, color);
  return [plate(3, BLACK), plate(2, [255, 255, 255]), ...digitsAt(text, left, top, tall, MARK_WEIGHT, BLACK)];
}

const MARK_WEIGHT = 0.19;

/** Height of a mark's digit, as in set-of-mark prompting (arXiv 2310.11441); in large pictures it grows more slowly. */
export function markHeight(shorterSide: number): number {
  return Math.max(9, Math.round(Math.min(0.13 * shorterSide, 20 + 0.03 * shorterSide)));
}
