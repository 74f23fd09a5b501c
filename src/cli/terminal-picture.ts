import type { Painted } from "../drawings/paint.js";

/** Space between pictures, in columns. */
const GAP = 2;

/**
 * Pictures side by side as lines of text for terminals with 24-bit colour: a half block shows two pixels, one above the other. Each
 * picture is at most `columns` wide.
 */
export function terminalPictures(pictures: readonly Painted[], columns: number): string {
  const shown = pictures.map((picture) => shrink(picture, columns));
  const height = Math.max(0, ...shown.map((picture) => picture.height));
  const lines: string[] = [];
  for (let y = 0; y < height; y += 2) {
    const parts = shown.map((picture) => {
      if (y >= picture.height) return " ".repeat(picture.width);
      const cells = Array.from(
        { length: picture.width },
        (_, x) => `\x1b[38;2;${colorAt(picture, x, y)};48;2;${colorAt(picture, x, y + 1)}m▀`,
      );
      return `${cells.join("")}\x1b[0m`;
    });
    lines.push(parts.join(" ".repeat(GAP)));
  }
  return lines.join("\n");
}

function colorAt({ data, width, height }: Painted, x: number, y: number): string {
  const at = 4 * (Math.min(y, height - 1) * width + x);
  return `${data[at]};${data[at + 1]};${data[at + 2]}`;
}

/** Reduces a picture to a width, each pixel the mean of those it covers. */
function shrink(picture: Painted, most: number): Painted {
  const width = Math.min(most, picture.width);
  const height = 2 * Math.max(1, Math.round((picture.height * width) / picture.width / 2));
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    const [top, bottom] = range(y, height, picture.height);
    for (let x = 0; x < width; x++) {
      const [left, right] = range(x, width, picture.width);
      const sums = [0, 0, 0, 0];
      for (let j = top; j < bottom; j++) {
        for (let i = left; i < right; i++) {
          for (let c = 0; c < 4; c++) sums[c]! += picture.data[4 * (j * picture.width + i) + c]!;
        }
      }
      const count = (bottom - top) * (right - left);
      data.set(
        sums.map((sum) => sum / count),
        4 * (y * width + x),
      );
    }
  }
  return { data, width, height };
}

/** The pixels of `from` that pixel `index` of `to` covers: at least one. */
function range(index: number, to: number, from: number): [first: number, end: number] {
  const first = Math.floor((index * from) / to);
  return [first, Math.max(first + 1, Math.floor(((index + 1) * from) / to))];
}
