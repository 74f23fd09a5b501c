/**
 * Decodes GIF to RGB8, in every runtime: LZW, interlacing, and composition of frames with the pixels of the reference (Pillow 13).
 *
 * Alpha is dropped: a transparent pixel of the first frame has the colour of its index, and in later frames the colour below it.
 * Sources: GIF89a specification, appendix F; for files that deviate from it, Pillow 13 (`GifImagePlugin.py`, `GifDecode.c`).
 */

import { MediaError } from "../../base/errors.js";
import type { Animation } from "../../platform/platform.js";
import { type GifFile, type GifFrame, readGif } from "./gif-frames.js";
import type { Pixels } from "./resize.js";

const MAX_CODE_BITS = 12;
const TABLE_SIZE = 1 << MAX_CODE_BITS;
/** Pillow feeds its decoder with pieces of this many bytes; an end-of-information code ends only the current piece. */
const PIECE_BYTES = 65536;
/** First row and row step of the four passes of an interlaced frame. */
const PASSES = [
  [0, 8],
  [4, 8],
  [2, 4],
  [1, 2],
] as const;

const GRAY = Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3));

function broken(where: string, expected: string, got: string): MediaError {
  return new MediaError({ where, expected, got, remedy: "get an undamaged copy of the picture" });
}

/** Returns the offsets of a frame's rows in coded order. */
function rowOrder(frame: GifFrame): number[] {
  const order: number[] = [];
  for (const [first, step] of frame.interlaced ? PASSES : ([[0, 1]] as const)) {
    for (let y = first; y < frame.height; y += step) order.push(y * frame.width);
  }
  return order;
}

/** Reads LZW codes from data sub-blocks. As in the reference, a sub-block is read only if the piece contains all of it. */
class CodeReader {
  #at: number;
  #limit: number;
  #block = 0;
  #bits = 0;
  #held = 0;

  constructor(
    readonly bytes: Uint8Array,
    start: number,
    readonly where: string,
  ) {
    this.#at = start;
    this.#limit = Math.min(bytes.length, start + PIECE_BYTES);
  }

  /** Advances to the next piece of the file. Throws MediaError at its end. */
  nextPiece(): void {
    if (this.#limit >= this.bytes.length) {
      throw broken(this.where, "codes for every pixel of the GIF", "the end of the file (the picture is cut off)");
    }
    this.#limit = Math.min(this.bytes.length, this.#limit + PIECE_BYTES);
  }

  read(codeBits: number): number {
    while (this.#held < codeBits) {
      if (this.#block > 0) {
        this.#bits |= this.bytes[this.#at++]! << this.#held;
        this.#held += 8;
        this.#block--;
      } else if (this.#at < this.#limit && this.#at + this.bytes[this.#at]! < this.#limit) {
        this.#block = this.bytes[this.#at++]!;
      } else this.nextPiece();
    }
    const code = this.#bits & ((1 << codeBits) - 1);
    this.#bits >>>= codeBits;
    this.#held -= codeBits;
    return code;
  }
}

/** Decodes the colour indices of a frame, `[height, width]`. */
function decodeIndices(bytes: Uint8Array, frame: GifFrame, where: string): Uint8Array {
  const { width, height, codeBits, dataStart } = frame;
  if (codeBits > MAX_CODE_BITS) throw broken(where, `codes of at most ${MAX_CODE_BITS} bits`, `${codeBits}`);
  if (width === 0 || height === 0) throw broken(where, "a frame of at least one pixel", `${width}×${height}`);
  const indices = new Uint8Array(width * height);
  const order = rowOrder(frame);
  const reader = new CodeReader(bytes, dataStart, where);
  const clear = 1 << codeBits;
  const links = new Uint16Array(TABLE_SIZE);
  const lasts = new Uint8Array(TABLE_SIZE);
  const stack = new Uint8Array(TABLE_SIZE);
  let next = clear + 2;
  let size = codeBits + 1;
  let previous = -1;
  let first = 0;
  let row = 0;
  let x = 0;
  let write = order[0]!;
  for (;;) {
    const code = reader.read(size);
    if (code === clear) {
      next = clear + 2;
      size = codeBits + 1;
      previous = -1;
      continue;
    }
    if (code === clear + 1) {
      reader.nextPiece();
      continue;
    }
    let depth = 0;
    if (previous < 0) {
      if (code > clear) throw broken(where, "a pixel after a clear code", `code ${code}`);
      first = code;
    } else {
      if (code > next) throw broken(where, `codes up to ${next}`, `${code}`);
      let walk = code;
      if (code === next) {
        stack[depth++] = first;
        walk = previous;
      }
      while (walk >= clear) {
        if (depth >= TABLE_SIZE) throw broken(where, `strings of at most ${TABLE_SIZE} pixels`, "a longer one");
        stack[depth++] = lasts[walk]!;
        walk = links[walk]!;
      }
      first = walk;
      if (next < TABLE_SIZE) {
        lasts[next] = first;
        links[next] = previous;
        if (next === (1 << size) - 1 && size < MAX_CODE_BITS) size++;
        next++;
      }
    }
    previous = code;
    stack[depth++] = first;
    while (depth > 0) {
      indices[write++] = stack[--depth]!;
      if (++x < width) continue;
      x = 0;
      row++;
      if (row === order.length) return indices;
      write = order[row]!;
    }
  }
}

/** Returns the RGB of a colour index; black for indices beyond the table. */
function colourOf(palette: Uint8Array, index: number): [number, number, number] {
  const at = index * 3;
  return at + 3 > palette.length ? [0, 0, 0] : [palette[at]!, palette[at + 1]!, palette[at + 2]!];
}

function filled(width: number, height: number, [red, green, blue]: readonly [number, number, number]): Uint8Array {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i += 3) {
    data[i] = red;
    data[i + 1] = green;
    data[i + 2] = blue;
  }
  return data;
}

/** A rectangle of RGB8 pixels and its position. */
interface Patch {
  left: number;
  top: number;
  width: number;
  height: number;
  data: Uint8Array;
}

function paste(into: Pixels, { left, top, width, height, data }: Patch): void {
  for (let y = 0; y < height; y++) {
    into.data.set(data.subarray(y * width * 3, (y + 1) * width * 3), ((top + y) * into.width + left) * 3);
  }
}

function crop(from: Pixels, { left, top, width, height }: GifFrame): Patch {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    // Pixels outside the picture are black.
    if (top + y >= from.height || left >= from.width) continue;
    const start = ((top + y) * from.width + left) * 3;
    data.set(from.data.subarray(start, start + Math.min(width, from.width - left) * 3), y * width * 3);
  }
  return { left, top, width, height, data };
}

/** Composes frames on the logical screen, in order. */
class GifScreen {
  picture: Pixels = { width: 0, height: 0, data: new Uint8Array(0) };
  /** Disposal of the last frame: pasted before the next frame is drawn. */
  #after: Patch | undefined;

  constructor(
    readonly bytes: Uint8Array,
    readonly file: GifFile,
    readonly where: string,
  ) {}

  show(frame: GifFrame, index: number): void {
    const { where, bytes } = this;
    const palette = frame.palette ?? GRAY;
    const { transparentIndex } = frame;
    if (this.#after) paste(this.picture, this.#after);
    const screen = index === 0 ? this.file.screen : this.picture;
    const width = Math.max(screen.width, frame.left + frame.width);
    const height = Math.max(screen.height, frame.top + frame.height);
    const after = this.#disposal(frame, index, palette);
    const indices = decodeIndices(bytes, frame, where);
    if (index === 0) {
      this.picture = { width, height, data: filled(width, height, colourOf(palette, transparentIndex ?? 0)) };
    } else if (width !== screen.width || height !== screen.height) {
      const empty = transparentIndex === undefined ? colourOf(palette, 0) : ([0, 0, 0] as const);
      const grown = { width, height, data: filled(width, height, empty) };
      paste(grown, { left: 0, top: 0, ...this.picture });
      this.picture = grown;
    }
    this.#draw(frame, indices, palette, index === 0 ? undefined : transparentIndex);
    this.#after = after;
  }

  #draw(frame: GifFrame, indices: Uint8Array, palette: Uint8Array, skipped: number | undefined): void {
    const { data, width } = this.picture;
    for (let y = 0, read = 0; y < frame.height; y++) {
      let write = ((frame.top + y) * width + frame.left) * 3;
      for (let x = 0; x < frame.width; x++, read++, write += 3) {
        const index = indices[read]!;
        if (index === skipped) continue;
        const at = index * 3;
        data[write] = palette[at] ?? 0;
        data[write + 1] = palette[at + 1] ?? 0;
        data[write + 2] = palette[at + 2] ?? 0;
      }
    }
  }

  /** Returns the pixels that replace the frame's rectangle afterwards; undefined if the frame stays. */
  #disposal(frame: GifFrame, index: number, palette: Uint8Array): Patch | undefined {
    const { left, top, width, height, disposal, transparentIndex } = frame;
    if (disposal < 2) return undefined;
    if (disposal > 2 && index > 0) return crop(this.picture, frame);
    if (disposal > 2 && transparentIndex === undefined) return undefined;
    const named = transparentIndex ?? this.file.backgroundIndex;
    const colour = index > 0 && named * 3 + 3 > palette.length ? 0 : named;
    return { left, top, width, height, data: filled(width, height, colourOf(palette, colour)) };
  }
}

/**
 * Decodes the first frame. `file`: the headers, if they are parsed already. Throws MediaError naming `where` for a file that is broken
 * or truncated before the frame's last pixel.
 */
export function decodeGif(bytes: Uint8Array, where: string, file: GifFile | undefined = readGif(bytes)): Pixels {
  const frame = file?.frames[0];
  if (!file || !frame) throw broken(where, "the first frame of the GIF", "none");
  const screen = new GifScreen(bytes, file, where);
  screen.show(frame, 0);
  return screen.picture;
}

/**
 * Opens an animation, whose pictures are composed of the frames up to theirs. `file`: the headers, if they are parsed already. Throws
 * MediaError naming `where` if there is no frame or the screen has more than `maxPixels`.
 */
export function openGif(
  bytes: Uint8Array,
  where: string,
  maxPixels: number,
  file: GifFile | undefined = readGif(bytes),
): Animation {
  const frames = file?.frames ?? [];
  let { width, height } = file?.screen ?? { width: 0, height: 0 };
  for (const frame of frames) {
    width = Math.max(width, frame.left + frame.width);
    height = Math.max(height, frame.top + frame.height);
  }
  if (!file || frames.length === 0 || width * height > maxPixels) {
    throw broken(
      where,
      `a GIF with frames of at most ${maxPixels} pixels`,
      frames.length ? `${width}×${height}` : "none",
    );
  }
  let screen = new GifScreen(bytes, file, where);
  let shown = 0;
  return {
    durationsMilliseconds: frames.map((frame) => frame.durationMilliseconds),
    picture: async (index) => {
      if (index < shown - 1) {
        screen = new GifScreen(bytes, file, where);
        shown = 0;
      }
      for (; shown <= index; shown++) screen.show(frames[shown]!, shown);
      return { ...screen.picture, data: screen.picture.data.slice() };
    },
    close: () => undefined,
  };
}
