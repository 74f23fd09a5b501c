/**
 * Checks whether a JPEG without an EOI marker contains all of its pixels. Only the lengths of the Huffman codes are decoded.
 *
 * The reference (libjpeg in Pillow) decodes such a file only if it can fill its bit buffer before each code, so some bytes of padding
 * must follow the last one. It rejects files of several scans without EOI, since another scan could follow.
 * Source: ITU-T T.81, sections F.2 and B.2; libjpeg-turbo 3, `jdhuff.c`.
 */
import { dataView } from "../bytes/bytes.js";
import { type JpegSegment, jpegSegments } from "./jpeg-segments.js";

/** Minimum bits in libjpeg's bit buffer after filling it, and the number below which it is filled before a code is decoded. */
const FULL_BITS = 57;
const LOOKAHEAD_BITS = 8;
/** If at least this many bytes per block remain, libjpeg loads 6 bytes at a time, whenever 16 or fewer bits are left. */
const QUICK_BYTES_A_BLOCK = 512;
const QUICK_LEAST_BITS = 16;
const QUICK_FILL_BITS = 48;

interface Component {
  id: number;
  across: number;
  down: number;
}

/** Huffman table (DHT): number of codes of each length, and symbols in code order. */
interface Table {
  counts: Uint8Array;
  symbols: Uint8Array;
}

/** Thrown within this file when the data end. */
class Exhausted extends Error {}

/** Bit reader of entropy-coded data, which simulates how many bits the reference's decoder has loaded. */
class BitSource {
  readonly #data: Uint8Array;
  #position = 0;
  #loaded = 0;
  #quick = false;

  constructor(scan: Uint8Array) {
    this.#data = withoutStuffing(scan);
  }

  /** Selects the loading mode for the next MCU of `blocks` blocks. */
  begin(blocks: number): void {
    this.#quick = this.#data.length - this.#loaded / 8 >= QUICK_BYTES_A_BLOCK * blocks;
  }

  #fill(): void {
    while (this.#loaded - this.#position < FULL_BITS) {
      if (this.#loaded >= this.#data.length * 8) throw new Exhausted();
      this.#loaded += 8;
    }
  }

  #want(count: number): void {
    const held = this.#loaded - this.#position;
    if (this.#quick) this.#loaded += held <= QUICK_LEAST_BITS ? QUICK_FILL_BITS : 0;
    else if (held < count) this.#fill();
  }

  read(count: number): number {
    this.#want(count);
    let value = 0;
    for (let i = 0; i < count; i++, this.#position++) {
      value = value * 2 + ((this.#data[this.#position >> 3]! >> (7 - (this.#position & 7))) & 1);
    }
    return value;
  }

  symbol({ counts, symbols }: Table): number {
    this.#want(LOOKAHEAD_BITS);
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= 16; length++) {
      code = code * 2 + this.read(1);
      const count = counts[length - 1]!;
      if (code - first < count) return symbols[index + code - first] ?? 0;
      index += count;
      first = (first + count) * 2;
    }
    return 0;
  }
}

/** Removes byte stuffing (the zero after each 0xFF), up to the first marker. */
function withoutStuffing(scan: Uint8Array): Uint8Array {
  const out = new Uint8Array(scan.length);
  let filled = 0;
  for (let at = 0; at < scan.length; at++) {
    const byte = scan[at]!;
    if (byte === 0xff) {
      while (scan[at + 1] === 0xff) at++;
      if (scan[++at] !== 0) break;
    }
    out[filled++] = byte;
  }
  return out.subarray(0, filled);
}

function readTables(payload: Uint8Array, tables: Map<number, Table>): void {
  for (let at = 0; at + 17 <= payload.length; ) {
    const counts = payload.subarray(at + 1, at + 17);
    const total = counts.reduce((sum, count) => sum + count, 0);
    tables.set(payload[at]!, { counts, symbols: payload.subarray(at + 17, at + 17 + total) });
    at += 17 + total;
  }
}

/** Returns whether the only scan of a baseline JPEG is complete and followed by the padding that the reference requires. */
export function scanIsWhole(bytes: Uint8Array, segments: Iterable<JpegSegment> = jpegSegments(bytes)): boolean {
  const tables = new Map<number, Table>();
  let components: Component[] = [];
  let size = { width: 0, height: 0 };
  let restartInterval = 0;
  for (const { marker, payload, headerEnd, end } of segments) {
    if (marker === 0xc4) readTables(payload, tables);
    else if (marker === 0xdd && payload.length >= 2) restartInterval = dataView(payload).getUint16(0);
    else if (marker === 0xc0 || marker === 0xc1) {
      if (payload.length < 6 || payload.length < 6 + payload[5]! * 3) return false;
      const view = dataView(payload);
      size = { height: view.getUint16(1), width: view.getUint16(3) };
      components = Array.from({ length: payload[5]! }, (_, i) => {
        const sampling = payload[7 + i * 3]!;
        return { id: payload[6 + i * 3]!, across: sampling >> 4, down: sampling & 15 };
      });
      // Without a factor there are no blocks, and units without end.
      if (components.some(({ across, down }) => !isFactor(across) || !isFactor(down))) return false;
    } else if (marker === 0xda) {
      if (payload[0] !== components.length || components.length === 0) return false;
      // If any marker follows, the reference appends zeros to the scan.
      if (end + 1 < bytes.length) return true;
      return follow(bytes.subarray(headerEnd, end), payload, components, tables, size, restartInterval);
    }
  }
  return false;
}

/** Sampling factors of the format. */
function isFactor(factor: number): boolean {
  return factor >= 1 && factor <= 4;
}

function follow(
  scan: Uint8Array,
  header: Uint8Array,
  components: readonly Component[],
  tables: ReadonlyMap<number, Table>,
  { width, height }: { width: number; height: number },
  restartInterval: number,
): boolean {
  const widest = Math.max(...components.map(({ across }) => across));
  const tallest = Math.max(...components.map(({ down }) => down));
  const single = components.length === 1;
  const units = Math.ceil(width / (8 * (single ? 1 : widest))) * Math.ceil(height / (8 * (single ? 1 : tallest)));
  const blocks: { dc: Table; ac: Table }[] = [];
  for (const { id, across, down } of components) {
    const place = components.findIndex((_, i) => header[1 + i * 2] === id);
    const selector = header[2 + place * 2] ?? 0;
    const dc = tables.get(selector >> 4);
    const ac = tables.get(16 + (selector & 15));
    if (place < 0 || !dc || !ac) return false;
    for (let i = 0; i < (single ? 1 : across * down); i++) blocks.push({ dc, ac });
  }
  if (blocks.length > 10) return false;
  // Decoding restarts at each restart marker, at a byte boundary.
  const pieces = restartInterval > 0 ? splitAtRestarts(scan) : [scan];
  let source = new BitSource(pieces[0]!);
  try {
    for (let unit = 0; unit < units; unit++) {
      if (restartInterval > 0 && unit > 0 && unit % restartInterval === 0) {
        const piece = pieces[unit / restartInterval];
        if (!piece) return false;
        source = new BitSource(piece);
      }
      source.begin(blocks.length);
      for (const block of blocks) skipBlock(source, block.dc, block.ac);
    }
    return true;
  } catch (error) {
    if (error instanceof Exhausted) return false;
    throw error;
  }
}

function skipBlock(source: BitSource, dc: Table, ac: Table): void {
  source.read(source.symbol(dc) & 15);
  for (let k = 1; k < 64; k++) {
    const symbol = source.symbol(ac);
    const bits = symbol & 15;
    if (bits === 0) {
      if (symbol >> 4 !== 15) return;
      k += 15;
    } else {
      k += symbol >> 4;
      source.read(bits);
    }
  }
}

/** Splits a scan at its restart markers. Zeros are appended to pieces that end at a marker, as in the reference. */
function splitAtRestarts(scan: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let start = 0;
  for (let at = scan.indexOf(0xff); at >= 0; at = scan.indexOf(0xff, at + 1)) {
    const next = scan[at + 1] ?? 0;
    if (next < 0xd0 || next > 0xd7) continue;
    const piece = new Uint8Array(at - start + FULL_BITS);
    piece.set(scan.subarray(start, at));
    pieces.push(piece);
    start = at + 2;
  }
  pieces.push(scan.subarray(start));
  return pieces;
}
