/** A numbered mark on a picture, or a numbered box; places and sizes are fractions of the picture's width and height. */
export interface Mark {
  readonly x: number;
  readonly y: number;
  /** Of a box, whose centre is at `x` and `y`. */
  readonly width?: number;
  readonly height?: number;
}

/** Draws marks into a picture: black numbers on white, and the boxes around their places. */
export async function drawMarks(file: File, marks: readonly Mark[]): Promise<File> {
  const { markAt, markHeight, paintOver } = await import("ocellus/drawings");
  const picture = await createImageBitmap(file);
  const { width, height } = picture;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d")!;
  context.drawImage(picture, 0, 0);
  picture.close();
  const shorter = Math.min(width, height);
  for (const mark of marks) {
    const [x, y] = [mark.x * width, mark.y * height];
    if (mark.width !== undefined && mark.height !== undefined) {
      outline(
        context,
        x - (mark.width * width) / 2,
        y - (mark.height * height) / 2,
        mark.width * width,
        mark.height * height,
        markHeight(shorter),
      );
    }
  }
  const pixels = context.getImageData(0, 0, width, height);
  for (const [i, mark] of marks.entries()) {
    const x = (mark.x - (mark.width ?? 0) / 2) * width;
    const y = (mark.y - (mark.height ?? 0) / 2) * height;
    paintOver(pixels, markAt(i + 1, x, y, shorter));
  }
  context.putImageData(pixels, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/png" });
  return new File([blob], file.name, { type: "image/png" });
}

type Context = OffscreenCanvasRenderingContext2D;

/** White with a black line on both sides, to be seen on any ground. */
function outline(context: Context, x: number, y: number, width: number, height: number, size: number): void {
  const line = Math.max(1, Math.round(size / 6));
  for (const [color, lineWidth] of [
    ["black", 3 * line],
    ["white", line],
  ] as const) {
    context.strokeStyle = color;
    context.lineWidth = lineWidth;
    context.strokeRect(x, y, width, height);
  }
}
