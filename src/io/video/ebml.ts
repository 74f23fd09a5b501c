/**
 * EBML, the tree of elements that WebM and Matroska files are made of: headers of elements, read by byte ranges, and values
 * of elements that are in memory. Source: RFC 8794.
 */
import type { ByteSource } from "../bytes/source.js";

/** An element. Offsets are counted from the start of what was read: a file, or the bytes given. */
export interface Element {
  id: number;
  offsetBytes: number;
  /** Where its data begin and end; the end is Infinity where the size is not known, as live recordings have it. */
  dataBytes: number;
  endBytes: number;
}

/** Longest header: an id of 4 bytes, as Matroska has them, and a size of 8. */
export const MAX_HEADER_BYTES = 12;

/** Bytes of a number of variable length, by its first byte; 9 for 0, which begins none. */
function lengthOf(firstByte: number): number {
  return Math.clz32(firstByte) - 23;
}

/** A number of 1 to 8 bytes without its length marker; undefined where `bytes` end before it does, or it is none. */
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

/** The element that begins at `at`; undefined where no header does, or only a part of one. `base` is added to its offsets. */
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

/** Remaining budget of elements in memory. */
export interface ElementBudget {
  left: number;
}

/**
 * The elements directly inside `bytes`, one after the other.
 * @throws Error where one is cut, or has no size, and for more than the budget has left.
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

/** An unsigned integer of 0 to 8 bytes. @throws Error for more. */
export function uintOf(data: Uint8Array): number {
  if (data.length > 8) throw new Error(`an integer of ${data.length} bytes`);
  return data.reduce((value, byte) => value * 256 + byte, 0);
}

/** Text in ASCII, up to the first zero; anything that does not print is "?". */
export function asciiOf(data: Uint8Array, mostBytes = 64): string {
  const end = data.indexOf(0);
  const letters = data.subarray(0, Math.min(end < 0 ? data.length : end, mostBytes));
  return Array.from(letters, (code) => (code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : "?")).join("");
}

/** Writes an element: its id, its size in 8 bytes, and its parts. */
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

/** Elements are walked over in windows of this length: a request for each would take minutes over a network. */
const WINDOW_BYTES = 1024 * 1024;

/** A part of a file in memory, moved along as the elements are walked over. */
export class Window {
  /** Reads use this memory again and again where the source can. */
  readonly #memory: Uint8Array;
  #start = 0;
  #bytes: Uint8Array = new Uint8Array();

  constructor(
    readonly source: ByteSource,
    readonly signal: AbortSignal | undefined,
  ) {
    this.#memory = new Uint8Array(Math.min(WINDOW_BYTES, source.sizeBytes));
  }

  /** Whether these bytes, or as many of them as the file has, are in memory. */
  holds(offsetBytes: number, lengthBytes: number): boolean {
    const end = Math.min(offsetBytes + lengthBytes, this.source.sizeBytes);
    return offsetBytes >= this.#start && end <= this.#start + this.#bytes.length;
  }

  /** Moves on, so that the window begins at this byte. */
  async move(offsetBytes: number): Promise<void> {
    const length = Math.max(0, Math.min(WINDOW_BYTES, this.source.sizeBytes - offsetBytes));
    this.#bytes = await this.source.read(offsetBytes, length, this.signal, this.#memory);
    this.#start = offsetBytes;
  }

  /** The element at this byte, whose header must be in memory. */
  element(offsetBytes: number): Element | undefined {
    return parseElement(this.#bytes, offsetBytes - this.#start, this.#start);
  }

  /** Bytes that must be in memory; fewer at the end of the file. They change when the window moves. */
  bytes(offsetBytes: number, lengthBytes: number): Uint8Array {
    const at = offsetBytes - this.#start;
    return this.#bytes.subarray(at, at + lengthBytes);
  }
}
