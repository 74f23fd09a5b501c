/**
 * Decodes BMP to RGB8, in every runtime, with the pixels of the reference (Pillow 13, `BmpImagePlugin.py`): alpha is dropped, and indices
 * beyond the palette are black. Sources: the Windows structures BITMAPCOREHEADER to BITMAPV5HEADER; OS/2 headers of the same sizes.
 */
import { MediaError } from "../../base/errors.js";
import { dataView } from "../bytes/bytes.js";
import type { Pixels } from "./resize.js";

const FILE_HEADER_BYTES = 14;
const HEADER_SIZES = [12, 40, 52, 56, 64, 108, 124];
const RAW = 0;
const RLE8 = 1;
const RLE4 = 2;
const BITFIELDS = 3;

/** Byte order of a pixel by bit depth and the masks of red, green, blue and alpha; X is ignored. */
const MASKS: Record<string, string> = {
  "32 ff0000 ff00 ff 0": "BGRX",
  "32 ff000000 ff0000 ff00 0": "XBGR",
  "32 ff000000 ff00 ff 0": "BGXR",
  "32 ff000000 ff0000 ff00 ff": "XBGR",
  "32 ff ff00 ff0000 ff000000": "RGBX",
  "32 ff0000 ff00 ff ff000000": "BGRX",
  "32 ff000000 ff00 ff ff0000": "BGXR",
  "32 0 0 0 0": "BGRX",
  "24 ff0000 ff00 ff": "BGR",
  "16 f800 7e0 1f": "565",
  "16 7c00 3e0 1f": "555",
};

export interface BmpHeader {
  width: number;
  height: number;
  topDown: boolean;
  bits: number;
  compression: number;
  /** Byte order of a pixel, or "565" or "555" for 16 bits; undefined for palette indices. */
  order: string | undefined;
  /** RGB of each index; undefined if indices are gray levels (with one bit: black and white). */
  palette: Uint8Array | undefined;
  /** Bits per index; 1 for a gray palette of two colours, as in the reference. */
  indexBits: number;
  dataStart: number;
}

function broken(where: string, expected: string, got: string): MediaError {
  return new MediaError({ where, expected, got, remedy: "get an undamaged copy, or convert the picture to PNG" });
}

/** Parses the header. Throws MediaError naming `where` for variants that the reference does not support either. */
export function readBmpHeader(bytes: Uint8Array, where: string): BmpHeader {
  const view = dataView(bytes);
  const size = bytes.length >= 18 ? view.getUint32(14, true) : 0;
  const headerEnd = FILE_HEADER_BYTES + size;
  if (!HEADER_SIZES.includes(size) || headerEnd > bytes.length) {
    throw broken(where, `a BMP header of ${HEADER_SIZES.join(", ")} bytes`, `${size} in ${bytes.length} bytes`);
  }
  const old = size === 12;
  const topDown = !old && bytes[25] === 0xff;
  const width = old ? view.getUint16(18, true) : view.getUint32(18, true);
  const stored = old ? view.getUint16(20, true) : view.getUint32(22, true);
  const height = topDown ? 2 ** 32 - stored : stored;
  const bits = view.getUint16(old ? 24 : 28, true);
  const compression = old ? RAW : view.getUint32(30, true);
  const colours = (old ? 0 : view.getUint32(46, true)) || 2 ** bits;
  const entryBytes = old ? 3 : 4;
  let dataStart = view.getUint32(10, true);
  if (dataStart === headerEnd && bits <= 8) dataStart += entryBytes * colours;
  const order = orderOf(view, size, bits, compression, where);
  const common = { width, height, topDown, bits, compression, order };
  if (order !== undefined) {
    const masks = compression === BITFIELDS && size === 40 ? 12 : 0;
    return { ...common, palette: undefined, indexBits: 0, dataStart: dataStart || headerEnd + masks };
  }
  if (colours > 65536) throw broken(where, "a palette of 1 to 65536 colours", `${colours}`);
  const entries = bytes.subarray(headerEnd, headerEnd + entryBytes * colours);
  dataStart ||= headerEnd + entries.length;
  const gray = isGray(entries, entryBytes, colours);
  const palette = gray ? undefined : paletteOf(entries, entryBytes);
  return { ...common, palette, indexBits: gray ? (colours <= 2 ? 1 : 8) : bits, dataStart };
}

function orderOf(view: DataView, size: number, bits: number, compression: number, where: string): string | undefined {
  const run = compression === RLE8 || compression === RLE4;
  const known = [1, 4, 8, 16, 24, 32].includes(bits) && [RAW, RLE8, RLE4, BITFIELDS].includes(compression);
  if (!known || (run && bits > 8)) {
    throw broken(where, "a BMP of 1 to 32 bits, raw, RLE or with masks", `${bits} bits, compression ${compression}`);
  }
  if (compression !== BITFIELDS) return bits <= 8 ? undefined : bits === 16 ? "555" : bits === 24 ? "BGR" : "BGRX";
  // The masks follow a header of 40 bytes; larger headers contain them at the same offset.
  const mask = (index: number) => (view.byteLength >= 58 + index * 4 ? view.getUint32(54 + index * 4, true) : 0);
  const masks = [mask(0), mask(1), mask(2), ...(bits === 32 ? [size >= 56 ? mask(3) : 0] : [])];
  const key = `${bits} ${masks.map((value) => value.toString(16)).join(" ")}`;
  const order = MASKS[key];
  if (!order) throw broken(where, "a BMP with masks of whole bytes, 565 or 555", key);
  return order;
}

/** Whether the palette maps each index to the same gray level, or two indices to black and white. */
function isGray(entries: Uint8Array, entryBytes: number, colours: number): boolean {
  for (let i = 0; i < colours; i++) {
    const level = colours === 2 ? i * 255 : i;
    for (let c = 0; c < 3; c++) if (entries[i * entryBytes + c] !== level) return false;
  }
  return true;
}

/** Returns a palette of 256 colours; missing entries are black. */
function paletteOf(entries: Uint8Array, entryBytes: number): Uint8Array {
  const palette = new Uint8Array(768);
  for (let i = 0; i < 256 && (i + 1) * entryBytes <= entries.length; i++) {
    for (let c = 0; c < 3; c++) palette[i * 3 + c] = entries[i * entryBytes + 2 - c]!;
  }
  return palette;
}

/**
 * Decodes to RGB8 `[height, width, 3]`. `header`: the header, if it is parsed already. Throws MediaError naming `where` for a broken or
 * truncated file.
 */
export function decodeBmp(bytes: Uint8Array, where: string, header = readBmpHeader(bytes, where)): Pixels {
  const { width, height, bits, order, topDown, dataStart } = header;
  const run = header.compression === RLE8 || header.compression === RLE4;
  const strideBytes = run ? width : Math.floor((width * bits + 31) / 32) * 4;
  const pixelBits = run ? 8 : order === undefined ? header.indexBits : bits;
  const rowBytes = Math.ceil((width * pixelBits) / 8);
  const rows = run ? decodeRuns(bytes, header, where) : bytes.subarray(dataStart);
  // The last row may lack its padding.
  const needed = (height - 1) * strideBytes + rowBytes;
  if (rowBytes > strideBytes || rows.length < needed) {
    throw broken(where, `${needed} bytes of pixels`, `${rows.length} (the picture is cut off)`);
  }
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = rows.subarray(y * strideBytes, y * strideBytes + rowBytes);
    const write = (topDown ? y : height - 1 - y) * width * 3;
    if (order === undefined) indexRow(row, pixelBits, header, data, write);
    else if (order.length === 3 && order !== "BGR") shortRow(row, order === "565", data, write);
    else byteRow(row, order, data, write);
  }
  return { width, height, data };
}

function indexRow(row: Uint8Array, bits: number, header: BmpHeader, data: Uint8Array, start: number): void {
  const { palette, width, indexBits } = header;
  const mask = (1 << bits) - 1;
  for (let x = 0, write = start; x < width; x++, write += 3) {
    const bit = x * bits;
    const index = (row[bit >> 3]! >> (8 - bits - (bit & 7))) & mask;
    if (palette) {
      for (let c = 0; c < 3; c++) data[write + c] = palette[index * 3 + c]!;
    } else data.fill(bits === 1 && indexBits === 1 ? index * 255 : index, write, write + 3);
  }
}

/** Converts a row of 16 bits per pixel. */
function shortRow(row: Uint8Array, six: boolean, data: Uint8Array, start: number): void {
  const top = six ? 63 : 31;
  for (let read = 0, write = start; read + 1 < row.length; read += 2, write += 3) {
    const value = row[read]! | (row[read + 1]! << 8);
    data[write] = Math.trunc((((value >> (six ? 11 : 10)) & 31) * 255) / 31);
    data[write + 1] = Math.trunc((((value >> 5) & top) * 255) / top);
    data[write + 2] = Math.trunc(((value & 31) * 255) / 31);
  }
}

function byteRow(row: Uint8Array, order: string, data: Uint8Array, start: number): void {
  const [red, green, blue] = ["R", "G", "B"].map((letter) => order.indexOf(letter)) as [number, number, number];
  for (let read = 0, write = start; read < row.length; read += order.length, write += 3) {
    data[write] = row[read + red]!;
    data[write + 1] = row[read + green]!;
    data[write + 2] = row[read + blue]!;
  }
}

/** Decodes RLE4 or RLE8 to one byte per index, bottom row first. */
function decodeRuns(
  bytes: Uint8Array,
  { width, height, compression, dataStart }: BmpHeader,
  where: string,
): Uint8Array {
  const four = compression === RLE4;
  const out = new Uint8Array(width * height);
  let filled = 0;
  let x = 0;
  let at = dataStart;
  const put = (value: number) => {
    if (filled < out.length) out[filled++] = value;
  };
  while (filled < out.length && at + 1 < bytes.length) {
    const count = bytes[at]!;
    const value = bytes[at + 1]!;
    at += 2;
    if (count > 0) {
      const run = Math.min(count, Math.max(0, width - x));
      for (let i = 0; i < run; i++) put(four ? (i % 2 === 0 ? value >> 4 : value & 15) : value);
      x += run;
    } else if (value === 0) {
      filled = Math.min(out.length, Math.ceil(filled / width) * width);
      x = 0;
    } else if (value === 1) break;
    else if (value === 2) {
      if (at + 2 > bytes.length) break;
      filled = Math.min(out.length, filled + bytes[at]! + bytes[at + 1]! * width);
      at += 2;
      x = filled % width;
    } else {
      const pixels = Math.min(out.length - filled, value);
      const length = four ? (pixels + 1) >> 1 : pixels;
      const there = Math.min(length, bytes.length - at);
      for (let i = 0; i < (four ? Math.min(pixels, there * 2) : there); i++) {
        const byte = bytes[at + (four ? i >> 1 : i)]!;
        put(four ? (i % 2 === 0 ? byte >> 4 : byte & 15) : byte);
      }
      at += there;
      if (there < length) break;
      x += value;
      // Absolute runs are padded to an even offset of the file.
      at += at % 2;
    }
  }
  if (filled < out.length) throw broken(where, `${out.length} pixels`, `${filled} (the picture is cut off)`);
  return out;
}
