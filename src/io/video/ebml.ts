/**
 * Parses EBML, the element format of WebM and Matroska: element headers by byte ranges of a file, and values of elements in memory.
 * Source: RFC 8794.
 */
import type { ByteSource } from "../bytes/source.js";

/** An element. Offsets are relative to the start of the file or of the parsed bytes. */
export interface Element {
  id: number;
  offsetBytes: number;
  /** Offsets of the start and the end of its data; the end is Infinity for an unknown size, as in live recordings. */
  dataBytes: number;
  endBytes: number;
}

/** Maximum length of a header: an id of 4 bytes (Matroska's limit) and a size of 8. */
export const MAX_HEADER_BYTES = 12;

/** Returns the length of a variable-size integer by its first byte; 9 for 0, which is invalid. */
function lengthOf(firstByte: number): number {
  return Math.clz32(firstByte) - 23;
}

/** Parses a variable-size integer of 1 to 8 bytes, without its length marker; undefined if it is invalid or truncated. */
export function parseVint(bytes: Uint8Array, at: number): { value: number; lengthBytes: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  const lengthBytes = lengthOf(first);
  if (lengthBytes > 8 || at + lengthBytes > bytes.length) return undefined;
  let value = first & (0xff >> lengthBytes);
  let allOnes = value === 0xff >> lengthBytes;
  for (let i = 1; i < lengthBytes; i++) {
    const byte = bytes[at + i]!;
    value = value * 256 + byte;
    allOnes &&= byte === 0xff;
  }
  return { value: allOnes ? Number.POSITIVE_INFINITY : value, lengthBytes };
}

/** Parses the element header at `at`; undefined if it is invalid or truncated. `base` is added to the offsets. */
export function parseElement(bytes: Uint8Array, at: number, base = 0): Element | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  const idBytes = lengthOf(first);
  if (idBytes > 4 || at + idBytes > bytes.length) return undefined;
  let id = 0;
  for (let i = 0; i < idBytes; i++) id = id * 256 + bytes[at + i]!;
  const size = parseVint(bytes, at + idBytes);
  if (!size) return undefined;
  const dataBytes = base + at + idBytes + size.lengthBytes;
  return { id, offsetBytes: base + at, dataBytes, endBytes: dataBytes + size.value };
}

/** Number of elements that may still be parsed in memory. */
export interface ElementBudget {
  left: number;
}

/**
 * Yields the child elements in `bytes`.
 * @throws Error for a truncated element, an unknown size, and an exhausted budget.
 */
export function* elementsIn(
  bytes: Uint8Array,
  budget: ElementBudget,
): Generator<Element & { data: Uint8Array }, void, undefined> {
  for (let at = 0; at < bytes.length; ) {
    if (--budget.left < 0) throw new Error("more elements than any description has");
    const element = parseElement(bytes, at);
    if (!element || element.endBytes > bytes.length) throw new Error(`a cut element at byte ${at} of ${bytes.length}`);
    yield { ...element, data: bytes.subarray(element.dataBytes, element.endBytes) };
    at = element.endBytes;
  }
}

/** Reads an unsigned integer of 0 to 8 bytes. @throws Error for more. */
export function uintOf(data: Uint8Array): number {
  if (data.length > 8) throw new Error(`an integer of ${data.length} bytes`);
  return data.reduce((value, byte) => value * 256 + byte, 0);
}

/** Reads ASCII text up to the first zero byte; other bytes become "?". */
export function asciiOf(data: Uint8Array, mostBytes = 64): string {
  const end = data.indexOf(0);
  const letters = data.subarray(0, Math.min(end < 0 ? data.length : end, mostBytes));
  return Array.from(letters, (code) => (code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : "?")).join("");
}

/** Writes an element: id, size in 8 bytes, and data. */
export function writeElement(id: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const idBytes = id > 0xffffff ? 4 : id > 0xffff ? 3 : id > 0xff ? 2 : 1;
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(idBytes + 8 + size);
  for (let i = 0; i < idBytes; i++) bytes[i] = id / 256 ** (idBytes - 1 - i);
  bytes[idBytes] = 1;
  for (let i = 0; i < 7; i++) bytes[idBytes + 1 + i] = size / 256 ** (6 - i);
  let at = idBytes + 8;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Read length while walking over elements: one request per element would take minutes over a network. */
const WINDOW_BYTES = 1024 * 1024;

/** A sliding window of a file in memory. */
export class Window {
  /** Buffer reused by all reads, if the source supports it. */
  readonly #memory: Uint8Array;
  #start = 0;
  #bytes: Uint8Array = new Uint8Array();

  constructor(
    readonly source: ByteSource,
    readonly signal: AbortSignal | undefined,
  ) {
    this.#memory = new Uint8Array(Math.min(WINDOW_BYTES, source.sizeBytes));
  }

  /** Whether a byte range, clipped to the file, is in memory. */
  holds(offsetBytes: number, lengthBytes: number): boolean {
    const end = Math.min(offsetBytes + lengthBytes, this.source.sizeBytes);
    return offsetBytes >= this.#start && end <= this.#start + this.#bytes.length;
  }

  /** Moves the window to a byte offset. */
  async move(offsetBytes: number): Promise<void> {
    const length = Math.max(0, Math.min(WINDOW_BYTES, this.source.sizeBytes - offsetBytes));
    this.#bytes = await this.source.read(offsetBytes, length, this.signal, this.#memory);
    this.#start = offsetBytes;
  }

  /** Parses the element at a byte offset; its header must be in memory. */
  element(offsetBytes: number): Element | undefined {
    return parseElement(this.#bytes, offsetBytes - this.#start, this.#start);
  }

  /** Returns bytes that are in memory, fewer at the end of the file. Invalid after the window moves. */
  bytes(offsetBytes: number, lengthBytes: number): Uint8Array {
    const at = offsetBytes - this.#start;
    return this.#bytes.subarray(at, at + lengthBytes);
  }
}
