/**
 * Boxes of MP4 and QuickTime files. {@link indexBoxes} walks over the top-level boxes by byte ranges and reads those of the index, never
 * the media data (`mdat`); {@link BoxReader} parses inside them. All sizes and counts are checked against the available bytes.
 * Source: ISO/IEC 14496-12, QuickTime File Format.
 */
import { MediaError } from "../../base/errors.js";
import { dataView } from "../bytes/bytes.js";
import { CLIP_START_BYTES, clipFormat, unknownClip } from "../bytes/clip-format.js";
import type { ByteSource } from "../bytes/source.js";
import type { IndexBudget } from "./mp4-budget.js";
import { type BoxPlace, broken, cut } from "./mp4-faults.js";

/** A box in memory. `start` and `end`: offsets of its body in the reader's bytes. */
export interface Box {
  type: string;
  /** Offset of its header in the file, for error messages. */
  offsetBytes: number;
  start: number;
  end: number;
}

interface BoxHeader {
  type: string;
  sizeBytes: number;
  headerBytes: number;
}

/** Read length. Most fragment headers are shorter, so that one read covers a `moof` and the next box header. */
const WINDOW_BYTES = 4096;
/** Maximum number of top-level boxes, and of child boxes; an hour of one-frame fragments has a fifth of it. */
const MAX_BOXES = 2 ** 20;
/** Maximum size of `moov` or `moof`; the index of a day of video has 100 MB. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024;

/** Parses the box header at `at`; undefined if it is truncated. `end`: end of the parent box; a size of 0 means "to the end". */
function parseHeader(view: DataView, at: number, end: number): BoxHeader | undefined {
  if (at + 8 > end) return undefined;
  const type = String.fromCharCode(
    view.getUint8(at + 4),
    view.getUint8(at + 5),
    view.getUint8(at + 6),
    view.getUint8(at + 7),
  );
  const size = view.getUint32(at);
  if (size !== 1) return { type, sizeBytes: size === 0 ? end - at : size, headerBytes: 8 };
  return at + 16 > end ? undefined : { type, sizeBytes: Number(view.getBigUint64(at + 8)), headerBytes: 16 };
}

/** Parses a box in memory and its children. */
export class BoxReader {
  readonly view: DataView;
  #boxes = 0;

  constructor(
    readonly bytes: Uint8Array,
    /** Offset of the bytes in the file. */
    readonly offsetBytes: number,
    readonly label: string,
    readonly budget: IndexBudget,
  ) {
    this.view = dataView(bytes);
  }

  /** The outermost box. */
  get outer(): Box {
    for (const box of this.#within(0, this.bytes.length)) return box;
    throw new Error("no box");
  }

  /** Yields the children of a box, from byte `from` of its body on. Fewer than 8 bytes at the end are QuickTime's terminator. */
  children(box: Box, from = 0): Generator<Box, void, undefined> {
    return this.#within(box.start + from, box.end);
  }

  /** Returns the first child of each type. */
  firstOf<Type extends string>(box: Box, ...types: readonly Type[]): Partial<Record<Type, Box>> {
    const found: Partial<Record<string, Box>> = {};
    for (const child of this.children(box)) {
      if ((types as readonly string[]).includes(child.type)) found[child.type] ??= child;
    }
    return found as Partial<Record<Type, Box>>;
  }

  /** Returns the start of a box's body. Throws MediaError if it has fewer than `bytes` bytes. */
  need(box: Box, bytes: number): number {
    const got = box.end - box.start;
    if (got < bytes) throw this.broken(box, `a body of at least ${bytes} bytes`, `${got} bytes`);
    return box.start;
  }

  /** Returns the version of a full box. Throws MediaError unless it is 0 or 1. */
  version(box: Box): 0 | 1 {
    const version = this.bytes[this.need(box, 4)]!;
    if (version > 1) throw this.broken(box, "version 0 or 1", String(version));
    return version === 1 ? 1 : 0;
  }

  flags(box: Box): number {
    return this.view.getUint32(this.need(box, 4)) & 0xffffff;
  }

  /** Reads a 64-bit unsigned integer at an offset that was checked. */
  uint64(box: Box, at: number): number {
    const value = Number(this.view.getBigUint64(at));
    if (!Number.isSafeInteger(value)) throw this.broken(box, "a time or place below 2^53", String(value));
    return value;
  }

  /** Reads the number of entries at byte `countAt` of the body. Throws MediaError unless as many of `rowBytes` bytes follow. */
  rows(box: Box, countAt: number, rowBytes: number): number {
    const count = this.view.getUint32(this.need(box, countAt + 4) + countAt);
    const room = Math.floor((box.end - box.start - countAt - 4) / rowBytes);
    if (count > room) throw this.broken(box, `${count} rows of ${rowBytes} bytes`, `room for ${room}`);
    return count;
  }

  broken(box: Box, expected: string, got: string): MediaError {
    return broken(this.label, box, expected, got);
  }

  *#within(start: number, end: number): Generator<Box, void, undefined> {
    for (let at = start; at + 8 <= end; ) {
      const header = parseHeader(this.view, at, end);
      const { type = "", sizeBytes = 0, headerBytes = 8 } = header ?? {};
      const box = { type, offsetBytes: this.offsetBytes + at, start: at + headerBytes, end: at + sizeBytes };
      checkNumber(this.label, box, ++this.#boxes);
      if (sizeBytes < headerBytes) throw this.broken(box, "a size that fits its header", `${sizeBytes} bytes`);
      if (sizeBytes > end - at)
        throw this.broken(box, `${sizeBytes} bytes`, `${end - at} to the end of the box around it`);
      yield box;
      at = box.end;
    }
  }
}

/** Read-ahead buffer: several small boxes take one request. */
class Window {
  #start = 0;
  #bytes: Uint8Array = new Uint8Array();

  constructor(
    readonly source: ByteSource,
    readonly signal: AbortSignal | undefined,
  ) {}

  /** Reads `lengthBytes` from `offsetBytes`, or fewer at the end of the file. */
  async read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const left = Math.max(0, this.source.sizeBytes - offsetBytes);
    const wanted = Math.min(lengthBytes, left);
    const within = offsetBytes - this.#start;
    if (within < 0 || within + wanted > this.#bytes.length) {
      const length = Math.min(Math.max(wanted, WINDOW_BYTES), left);
      // Free the last box before the next is read.
      this.#bytes = new Uint8Array();
      this.#bytes = await this.source.read(offsetBytes, length, this.signal);
      this.#start = offsetBytes;
    }
    return this.#bytes.subarray(offsetBytes - this.#start, offsetBytes - this.#start + wanted);
  }
}

/**
 * Yields a reader for the first `moov` and for each `moof` after it; its bytes are valid until the next one.
 * @throws MediaError for a file that is not an MP4, has no index or is truncated within it; SourceError; AbortedError.
 */
export async function* indexBoxes(
  source: ByteSource,
  label: string,
  budget: IndexBudget,
  signal?: AbortSignal,
): AsyncGenerator<BoxReader, void, undefined> {
  const window = new Window(source, signal);
  const first = await window.read(0, CLIP_START_BYTES);
  if (clipFormat(first) !== "mp4") throw unknownClip(label, first);
  let indexed = false;
  let boxes = 0;
  for (let at = 0; at < source.sizeBytes; ) {
    const header = parseHeader(dataView(await window.read(at, 16)), 0, source.sizeBytes - at);
    const box = { type: header?.type ?? "box", offsetBytes: at };
    if (!header || header.sizeBytes < header.headerBytes || !Number.isSafeInteger(at + header.sizeBytes)) {
      if (indexed) return; // Some cameras write trailing bytes after the last box.
      throw broken(label, box, "a size that fits its header", String(header?.sizeBytes ?? "a truncated header"));
    }
    checkNumber(label, box, ++boxes);
    const { type, sizeBytes } = header;
    const needed = indexed ? type === "moof" : type === "moov";
    const end = at + sizeBytes;
    if (end > source.sizeBytes && (needed || !indexed)) throw cut(label, box, sizeBytes, source.sizeBytes);
    if (needed && sizeBytes > MAX_INDEX_BYTES) {
      throw broken(label, box, `at most ${MAX_INDEX_BYTES} bytes`, `${sizeBytes} bytes`);
    }
    if (type === "moof" && !indexed) throw broken(label, box, 'the index (box "moov") before it', "none");
    if (needed) {
      indexed = true;
      yield new BoxReader(await window.read(at, sizeBytes), at, label, budget);
    }
    at = end;
  }
  if (indexed) return;
  throw new MediaError({
    where: label,
    expected: 'an MP4 with an index (box "moov")',
    got: source.sizeBytes === 0 ? "no bytes at all" : `none in its ${source.sizeBytes} bytes`,
    remedy: "the recording may not have been finished; get a complete copy",
  });
}

function checkNumber(label: string, box: BoxPlace, boxes: number): void {
  if (boxes > MAX_BOXES) throw broken(label, box, `at most ${MAX_BOXES} boxes`, "more");
}
