/**
 * Reads the pixels of opaque pictures through a 2D canvas, which the CPU does: on a software adapter a texture copy takes ten times as
 * long. Premultiplying by an alpha of 255 changes nothing, but some browsers change what is read back against fingerprinting.
 */

/** Rows that are read back at once. */
const ROWS = 512;
/** Side of the picture that tells whether the canvas returns what was drawn. */
const TEST_PIXELS = 128;

let exact: Promise<boolean> | undefined;

/** Whether canvases here return the pixels that were drawn. */
export function canvasIsExact(): Promise<boolean> {
  exact ??= test().catch(() => false);
  return exact;
}

async function test(): Promise<boolean> {
  const drawn = new ImageData(TEST_PIXELS, TEST_PIXELS);
  for (let i = 0; i < drawn.data.length; i++) drawn.data[i] = i % 4 === 3 ? 255 : (i * 2654435761) >>> 24;
  const bitmap = await createImageBitmap(drawn, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const rgb = readOpaque(bitmap);
  bitmap.close();
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    for (let i = 0; i < 3; i++) if (rgb[to + i] !== drawn.data[from + i]) return false;
  }
  return true;
}

/** Returns the pixels of an opaque bitmap as RGB8 `[height, width, 3]`. */
export function readOpaque(bitmap: ImageBitmap): Uint8Array {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, Math.min(height, ROWS));
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new Error("no 2D canvas");
  context.imageSmoothingEnabled = false;
  const rgb = new Uint8Array(width * height * 3);
  let to = 0;
  for (let y = 0; y < height; y += ROWS) {
    const rows = Math.min(ROWS, height - y);
    context.drawImage(bitmap, 0, y, width, rows, 0, 0, width, rows);
    const { data } = context.getImageData(0, 0, width, rows);
    for (let from = 0; from < data.length; from += 4, to += 3) {
      rgb[to] = data[from]!;
      rgb[to + 1] = data[from + 1]!;
      rgb[to + 2] = data[from + 2]!;
    }
  }
  return rgb;
}
