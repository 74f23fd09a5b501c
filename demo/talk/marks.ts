/** A numbered mark on a picture, or a numbered box; places and sizes are fractions of the picture's width and height. */
export interface Mark {
  readonly x: number;
  readonly y: number;
  /** Of a box, whose centre is at `x` and `y`. */
  readonly width?: number;
  readonly height?: number;
}

/** Size of a number in small pictures, as in set-of-mark prompting (arXiv 2310.11441); in large ones it grows more slowly. */
function fontSize(shorterSide: number): number {
  return Math.max(11, Math.trunc(Math.min(0.13 * shorterSide, 32 + 0.03 * shorterSide)));
}

/** Space around a number, in pixels. */
const PADDING = 2;

/** Draws marks into a picture: black numbers on white, and the boxes around their places. */
export async function drawMarks(file: File, marks: readonly Mark[]): Promise<File> {
  const picture = await createImageBitmap(file);
  const { width, height } = picture;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d")!;
  context.drawImage(picture, 0, 0);
  picture.close();
  const size = fontSize(Math.min(width, height));
  context.font = `bold ${size}px "DejaVu Sans", Verdana, sans-serif`;
  for (const [i, mark] of marks.entries()) {
    const [x, y] = [mark.x * width, mark.y * height];
    if (mark.width !== undefined && mark.height !== undefined) {
      outline(
        context,
        x - (mark.width * width) / 2,
        y - (mark.height * height) / 2,
        mark.width * width,
        mark.height * height,
        size,
      );
    }
    number(context, String(i + 1), x - ((mark.width ?? 0) * width) / 2, y - ((mark.height ?? 0) * height) / 2);
  }
  const blob = await canvas.convertToBlob({ type: "image/png" });
  return new File([blob], file.name, { type: "image/png" });
}

type Context = OffscreenCanvasRenderingContext2D;

/** White with a black line on both sides, to be seen on any ground. */
function outline(context: Context, x: number, y: number, width: number, height: number, size: number): void {
  const line = Math.max(1, Math.round(size / 8));
  for (const [color, lineWidth] of [
    ["black", 3 * line],
    ["white", line],
  ] as const) {
    context.strokeStyle = color;
    context.lineWidth = lineWidth;
    context.strokeRect(x, y, width, height);
  }
}

function number(context: Context, text: string, x: number, y: number): void {
  const {
    width: advance,
    actualBoundingBoxAscent: ascent,
    actualBoundingBoxDescent: descent,
  } = context.measureText(text);
  const [width, height] = [Math.round(advance), Math.round(ascent + descent)];
  const [left, top] = [Math.round(x - width / 2), Math.round(y - height / 2)];
  for (const [color, around] of [
    ["black", PADDING],
    ["white", PADDING - 1],
  ] as const) {
    context.fillStyle = color;
    context.fillRect(left - around, top - around, width + 2 * around + 1, height + 2 * around + 1);
  }
  context.fillStyle = "black";
  context.fillText(text, left, top + Math.round(ascent));
}
