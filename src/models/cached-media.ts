/**
 * Bytes and pixels that a conversation reads again with each question, as they were when they were given: a program may fill the same
 * buffer with the next picture of a camera. Blobs and files cannot change; paths and URLs are read anew.
 */
import { copyOf, isBytes } from "../io/bytes.js";
import type { SessionInput } from "./conversation.js";

/** Parts whose bytes nobody else has. */
const OWN = new WeakSet<object>();

/** Marks a part whose bytes need no copy: they came through a structured clone, say. */
export function ownPart<T extends object>(part: T): T {
  OWN.add(part);
  return part;
}

/** The input with copies of its bytes. Values of wrong kinds stay as they are: the prompt names them. Throws MediaError for buffers that are gone. */
export function copiedInput(input: SessionInput, where: string): SessionInput {
  if (!Array.isArray(input)) return input;
  return input.map((item: unknown) => {
    if (!isObject(item) || !Array.isArray(item.content)) return copiedPart(item, where);
    return { ...item, content: item.content.map((part: unknown) => copiedPart(part, where)) };
  }) as SessionInput;
}

/** A part with copies of its bytes; the same part where it has none. */
export function copiedPart<T>(part: T, where: string): T {
  if (!isObject(part) || OWN.has(part)) return part;
  const copies: Record<string, unknown> = {};
  for (const name of ["image", "video", "frames"]) {
    const value = part[name];
    const copy = Array.isArray(value)
      ? value.map((picture) => copiedMedium(picture, where))
      : copiedMedium(value, where);
    if (copy !== value) copies[name] = copy;
  }
  return Object.keys(copies).length === 0 ? part : ownPart({ ...part, ...copies });
}

function copiedMedium(medium: unknown, where: string): unknown {
  if (isBytes(medium)) return copyOf(medium, where);
  if (!isObject(medium) || !isBytes(medium.data)) return medium;
  const { data, width, height } = medium;
  // Values of more than one byte are no pixels, and the prompt says so.
  return (data as Uint8Array).BYTES_PER_ELEMENT === 1 ? { data: copyOf(data, where), width, height } : medium;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
