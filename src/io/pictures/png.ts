/**
 * Decodes PNG to RGB8, in every runtime.
 *
 * Decoders differ in how they convert 16 bits, gamma, colour profiles and transparent pixels. The model's preprocessing is defined by
 * Pillow's `convert("RGB")`, whose rules are implemented here: alpha and tRNS are dropped and the colours below them kept, gamma and
 * profiles are ignored, 16-bit colour is reduced to its high byte, and 16-bit gray without alpha is clamped to 255.
 * Source: PNG specification (ISO/IEC 15948), model specification 3.1.
 */
import { platform } from "#platform";
import { pause } from "../../base/abort.js";
import { MediaError } from "../../base/errors.js";
import { concatBytes } from "../bytes/bytes.js";
import { inflateInto } from "../bytes/inflate.js";
import { printableAscii } from "../bytes/printable-ascii.js";
import { type PngChunk, pngChunks } from "./png-chunks.js";
import type { Pixels } from "./resize.js";

const NO_BYTES = new Uint8Array(0);

interface Header {
  width: number;
  height: number;
  depth: number;
  colorType: number;
  /** Samples per pixel. */
  channels: number;
  interlaced: boolean;
}

/** Samples per pixel and allowed bit depths by colour type. */
const COLOR_TYPES: Record<number, { channels: number; depths: number[] }> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { channels: 3, depths: [8, 16] },
  3: { channels: 1, depths: [1, 2, 4, 8] },
  4: { channels: 2, depths: [8, 16] },
  6: { channels: 4, depths: [8, 16] },
};

/** The seven passes of Adam7 interlacing: first column, first row, column step, row step. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc32(bytes: Uint8Array, start: number, end: number): number {
  let c = 0xffffffff;
  for (let i = start; i < end; i++) c = CRC_TABLE[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function broken(where: string, expected: string, got: string, cause?: unknown): MediaError {
  return new MediaError({ where, expected, got, remedy: "get an undamaged copy of the picture", cause });
}

function readHeader(data: Uint8Array, where: string): Header {
  if (data.length < 13) throw broken(where, "an IHDR of 13 bytes", `${data.length} bytes`);
  const view = new DataView(data.buffer, data.byteOffset, 13);
  // As in the reference, the compression method is ignored, and every interlace method but 0 means Adam7.
  const [depth, colorType, , filter, interlace] = data.subarray(8) as unknown as number[] as [
    number,
    number,
    number,
    number,
    number,
  ];
  const kind = COLOR_TYPES[colorType];
  if (!kind?.depths.includes(depth) || filter !== 0) {
    throw broken(where, "a PNG colour type, bit depth and filter method", `${colorType}, ${depth}, ${filter}`);
  }
  const { channels } = kind;
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth,
    colorType,
    channels,
    interlaced: interlace !== 0,
  };
}

/** Inflates into `out` with the runtime's decompressor. Returns the number of bytes; undefined after an error, which discards earlier output. */
async function inflateQuickly(compressed: Uint8Array<ArrayBuffer>, out: Uint8Array): Promise<number | undefined> {
  const stream =
    // One byte more than the picture, so that the first chunk reaches the end of the stream.
    platform.inflate?.(compressed, out.length + 1) ??
    new Blob([compressed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  let filled = 0;
  try {
    // One read more than needed: only it reports a wrong checksum.
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return filled;
      if (filled === out.length) return filled;
      out.set(value.subarray(0, out.length - filled), filled);
      filled = Math.min(out.length, filled + value.length);
    }
  } catch {
    return undefined;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Inflates the picture data. As in the reference, a stream with a valid checksum may end early between two rows, and the missing rows
 * are zero; if all rows are present, a missing checksum is accepted, but not a wrong one.
 */
async function inflate(
  compressed: Uint8Array<ArrayBuffer>,
  sizeBytes: number,
  isRowEnd: (bytes: number) => boolean,
  where: string,
): Promise<Uint8Array> {
  const out = new Uint8Array(sizeBytes);
  const quick = await inflateQuickly(compressed, out);
  if (quick === sizeBytes || (quick && isRowEnd(quick))) return out;
  const { filled, outcome } = quick === undefined ? inflateInto(compressed, out) : { filled: quick, outcome: "cut" };
  if (outcome !== "broken" && (filled === sizeBytes || (outcome === "ended" && filled > 0 && isRowEnd(filled))))
    return out;
  throw broken(
    where,
    `${sizeBytes} bytes of picture data`,
    outcome === "broken" ? `a broken stream after ${filled} bytes` : `${filled} (the picture is cut off)`,
  );
}

/** Bytes of rows that are decoded without a pause. */
const BYTES_AT_ONCE = 4 * 2 ** 20;

/** Reverses a row's filter in place. */
function unfilter(filter: number, row: Uint8Array, above: Uint8Array, step: number): void {
  if (filter === 1) unfilterLeft(row, step);
  else if (filter === 2) for (let i = 0; i < row.length; i++) row[i] = row[i]! + above[i]!;
  else if (filter === 3) unfilterAverage(row, above, step);
  else if (filter === 4) unfilterPaeth(row, above, step);
}

function unfilterLeft(row: Uint8Array, step: number): void {
  for (let i = step; i < row.length; i++) row[i] = row[i]! + row[i - step]!;
}

function unfilterAverage(row: Uint8Array, above: Uint8Array, step: number): void {
  for (let i = 0; i < row.length; i++) {
    const left = i < step ? 0 : row[i - step]!;
    row[i] = row[i]! + ((left + above[i]!) >> 1);
  }
}

/** Paeth predictor: adds whichever of left, above and corner is nearest to left + above − corner. */
function unfilterPaeth(row: Uint8Array, above: Uint8Array, step: number): void {
  const first = Math.min(step, row.length);
  for (let i = 0; i < first; i++) row[i] = row[i]! + above[i]!;
  for (let i = step, back = 0; i < row.length; i++, back++) {
    const left = row[back]!;
    const up = above[i]!;
    const corner = above[back]!;
    const fromUp = up - corner;
    const fromLeft = left - corner;
    const both = fromUp + fromLeft;
    // Branch-free, since branches on noisy pixels are mispredicted: sign bits are extended to masks.
    const toLeft = (fromUp ^ (fromUp >> 31)) - (fromUp >> 31);
    const toUp = (fromLeft ^ (fromLeft >> 31)) - (fromLeft >> 31);
    const toCorner = (both ^ (both >> 31)) - (both >> 31);
    const other = up ^ ((up ^ corner) & ((toCorner - toUp) >> 31));
    row[i] = row[i]! + (left ^ ((left ^ other) & (((toUp - toLeft) | (toCorner - toLeft)) >> 31)));
  }
}

/** Converts one unfiltered row to RGB, written from `out[at]` on with a stride of `step` bytes per pixel. */
function expandRow(
  header: Header,
  palette: Uint8Array,
  row: Uint8Array,
  count: number,
  out: Uint8Array,
  at: number,
  step: number,
): void {
  const { depth, colorType, channels } = header;
  if (colorType === 2 || colorType === 6) {
    if (depth === 8 && channels === 3 && step === 3) {
      out.set(row.subarray(0, count * 3), at);
      return;
    }
    // Samples are big-endian: of 16 bits, the first byte is the high one.
    const sample = depth >> 3;
    const pixel = sample * channels;
    for (let x = 0, i = 0, o = at; x < count; x++, i += pixel, o += step) {
      out[o] = row[i]!;
      out[o + 1] = row[i + sample]!;
      out[o + 2] = row[i + 2 * sample]!;
    }
    return;
  }
  const indexed = colorType === 3;
  const mask = (1 << depth) - 1;
  const spread = 255 / mask;
  for (let x = 0, o = at; x < count; x++, o += step) {
    let value: number;
    if (depth < 8) {
      const bit = x * depth;
      value = (row[bit >> 3]! >> (8 - depth - (bit & 7))) & mask;
      if (!indexed) value *= spread;
    } else if (depth === 8) value = row[x * channels]!;
    else if (colorType === 4) value = row[x * 4]!;
    // Pillow clamps 16-bit gray instead of scaling it.
    else value = row[x * 2]! > 0 ? 255 : row[x * 2 + 1]!;
    if (indexed) {
      // Indices beyond the palette are black.
      out[o] = palette[value * 3] ?? 0;
      out[o + 1] = palette[value * 3 + 1] ?? 0;
      out[o + 2] = palette[value * 3 + 2] ?? 0;
    } else {
      out[o] = value;
      out[o + 1] = value;
      out[o + 2] = value;
    }
  }
}

/**
 * Returns the header, the palette and the compressed picture data. Checks as in the reference: checksums are verified up to the first
 * IDAT; IDAT chunks must be consecutive; chunks after them must be complete, but IEND may be missing.
 */
function readChunks(
  bytes: Uint8Array,
  chunks: Iterable<PngChunk>,
  where: string,
): [Header, Uint8Array, Uint8Array<ArrayBuffer>] {
  let header: Header | undefined;
  let palette: Uint8Array = NO_BYTES;
  let animated = false;
  let after = false;
  const parts: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const { type, data, offsetBytes, complete } of chunks) {
    if (type === "IDAT" && !after) {
      if (!header) throw broken(where, "IHDR as the first chunk", printableAscii(type));
      // A truncated picture is detected when it is inflated.
      parts.push(data);
      continue;
    }
    after = parts.length > 0;
    const dataEnd = offsetBytes + 8 + data.length;
    if (after) {
      if (type === "IEND" || !/^\w{4}$/.test(type) || (type === "fcTL" && animated)) break;
      if (dataEnd === bytes.length && view.getUint32(offsetBytes) > data.length) {
        throw broken(
          where,
          `the whole ${printableAscii(type)} chunk at byte ${offsetBytes}`,
          "the end of the file inside it",
        );
      }
      continue;
    }
    if (!complete || !/^\w{4}$/.test(type)) {
      throw broken(where, `a whole chunk at byte ${offsetBytes}`, `the end of the file, or no chunk`);
    }
    if (crc32(bytes, offsetBytes + 4, dataEnd) !== view.getUint32(dataEnd)) {
      throw broken(
        where,
        `the ${printableAscii(type)} chunk at byte ${offsetBytes} with its checksum`,
        "another checksum",
      );
    }
    if (!header && type !== "IHDR") throw broken(where, "IHDR as the first chunk", printableAscii(type));
    if (type === "IHDR") header ??= readHeader(data, where);
    else if (type === "PLTE") palette = data;
    else if (type === "acTL")
      animated = data.length >= 4 && new DataView(data.buffer, data.byteOffset).getUint32(0) > 1;
  }
  if (!header) throw broken(where, "an IHDR chunk", "none");
  return [header, palette, concatBytes(parts)];
}

/**
 * Decodes a PNG (of an APNG the default image) to RGB8 with the pixels of Pillow's `convert("RGB")`, without applying the EXIF
 * orientation. `chunks`: the file's chunks, if they are parsed already. Throws MediaError naming `where` for a wrong checksum, a
 * truncated file or a broken stream; AbortedError.
 */
export async function decodePng(
  bytes: Uint8Array,
  where: string,
  chunks: Iterable<PngChunk> = pngChunks(bytes),
  signal?: AbortSignal,
): Promise<Pixels> {
  const [header, palette, compressed] = readChunks(bytes, chunks, where);
  const { width, height, depth, channels } = header;
  if (width === 0 || height === 0) throw broken(where, "a picture of at least one pixel", `${width}×${height}`);
  const bitsPerPixel = depth * channels;
  const passes = (header.interlaced ? ADAM7 : ([[0, 0, 1, 1]] as const))
    .map(([x0, y0, dx, dy]) => {
      const columns = Math.max(0, Math.ceil((width - x0) / dx));
      const rows = Math.max(0, Math.ceil((height - y0) / dy));
      return { x0, y0, dx, dy, columns, rows, rowBytes: Math.ceil((columns * bitsPerPixel) / 8) };
    })
    .filter((pass) => pass.columns > 0 && pass.rows > 0);
  const sizeBytes = passes.reduce((sum, pass) => sum + pass.rows * (pass.rowBytes + 1), 0);
  const isRowEnd = (bytes: number): boolean => {
    let start = 0;
    for (const { rows, rowBytes } of passes) {
      const end = start + rows * (rowBytes + 1);
      if (bytes <= end) return (bytes - start) % (rowBytes + 1) === 0;
      start = end;
    }
    return false;
  };
  const raw = await inflate(compressed, sizeBytes, isRowEnd, where);
  const data = new Uint8Array(width * height * 3);
  let at = 0;
  let paused = 0;
  for (const { x0, y0, dx, dy, columns, rows, rowBytes } of passes) {
    const step = Math.max(1, bitsPerPixel >> 3);
    // The row above the first counts as zeros.
    let above: Uint8Array = new Uint8Array(rowBytes);
    for (let y = 0; y < rows; y++, at += rowBytes + 1) {
      if (at - paused > BYTES_AT_ONCE) {
        paused = at;
        await pause(signal, where);
      }
      const row = raw.subarray(at + 1, at + 1 + rowBytes);
      const filter = raw[at]!;
      if (filter > 4) throw broken(where, "a row filter from 0 to 4", `${filter} in row ${y}`);
      unfilter(filter, row, above, step);
      above = row;
      expandRow(header, palette, row, columns, data, ((y0 + y * dy) * width + x0) * 3, dx * 3);
    }
  }
  return { width, height, data };
}
