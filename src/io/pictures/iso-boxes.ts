/** Boxes of ISO media files that are in memory (AVIF, HEIC). Source: ISO/IEC 14496-12, section 4.2. */
import { asciiAt, dataView } from "../bytes/bytes.js";

export interface Box {
  type: string;
  /** The body, possibly truncated. */
  body: Uint8Array;
  /** Offset of the header in the parsed bytes. */
  offsetBytes: number;
  /** Declared size, header included. */
  sizeBytes: number;
  /** False if the box is truncated. */
  complete: boolean;
}

/** Yields consecutive boxes of `bytes`; stops after a truncated one. */
export function* boxesIn(bytes: Uint8Array): Generator<Box> {
  const view = dataView(bytes);
  for (let at = 0; at + 8 <= bytes.length; ) {
    const type = asciiAt(bytes, at + 4, 4);
    let header = 8;
    let size = view.getUint32(at);
    if (size === 1 && at + 16 <= bytes.length) {
      header = 16;
      size = Number(view.getBigUint64(at + 8));
    } else if (size === 0) size = bytes.length - at;
    const complete = size >= header && at + size <= bytes.length;
    const body = bytes.subarray(at + header, complete ? at + size : bytes.length);
    yield { type, body, offsetBytes: at, sizeBytes: size, complete };
    if (!complete) return;
    at += size;
  }
}

/** Returns the body of the first box at `path`, a list of nested types; undefined if one is missing. */
export function boxAt(bytes: Uint8Array, ...path: string[]): Uint8Array | undefined {
  let inside: Uint8Array | undefined = bytes;
  for (const type of path) {
    let found: Uint8Array | undefined;
    for (const box of boxesIn(inside)) {
      if (box.type !== type) continue;
      found = box.body;
      break;
    }
    if (!found) return undefined;
    inside = found;
  }
  return inside;
}

/** Sequential reader. Reads past the end return 0 and set `overrun`. */
export class BoxReader {
  at = 0;
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.#view = dataView(bytes);
  }

  get overrun(): boolean {
    return this.at > this.bytes.length;
  }

  /** Reads a big-endian unsigned integer of `size` bytes: 0, 1, 2, 3, 4 or 8. */
  read(size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++, this.at++) {
      value = value * 256 + (this.at < this.bytes.length ? this.#view.getUint8(this.at) : 0);
    }
    return value;
  }

  /** Reads text of `length` bytes. */
  ascii(length: number): string {
    this.at += length;
    return asciiAt(this.bytes, this.at - length, length);
  }

  /** Reads text up to a zero byte or the end. */
  text(): string {
    const end = this.bytes.indexOf(0, this.at);
    const last = end < 0 ? this.bytes.length : end;
    const text = asciiAt(this.bytes, this.at, last - this.at);
    this.at = last + 1;
    return text;
  }
}
