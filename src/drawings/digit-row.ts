import { type Color, type Digit, digitWidth } from "./paint.js";

/** Digits in a row whose first begins at `left` and `top`. */
export function digitsAt(
  text: string,
  left: number,
  top: number,
  height: number,
  weight: number,
  color: Color,
): Digit[] {
  const step = digitWidth(height, weight) + 0.16 * height;
  return [...text].map((digit, i) => ({
    kind: "digit",
    digit: Number(digit),
    left: left + i * step,
    top,
    height,
    weight,
    color,
  }));
}

/** Width in pixels of digits in a row. */
export function rowWidth(text: string, height: number, weight: number): number {
  return text.length * digitWidth(height, weight) + (text.length - 1) * 0.16 * height;
}
