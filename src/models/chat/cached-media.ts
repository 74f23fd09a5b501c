/**
 * Copies of the bytes and pixels of a conversation's media. A conversation reads its media again for every question, while the program may
 * overwrite its buffers, for example with the next camera frame. Blobs and files are immutable; paths and URLs are read again.
 */
import { isObject } from "../../base/is-object.js";
import { copyOf, isBytes } from "../../io/source.js";
import type { SessionInput } from "./conversation.js";

/** Parts whose bytes belong to the library. */
const OWN = new WeakSet<object>();

/** Marks a part whose bytes need no copy, for example after a structured clone. */
export function ownPart<T extends object>(part: T): T {
  OWN.add(part);
  return part;
}

/**
 * Returns the input with copies of its bytes. Values of wrong types are left for the prompt's checks. Throws MediaError for
 * detached buffers.
 */
export function copiedInput(input: SessionInput, where: string): SessionInput {
  if (!Array.isArray(input)) return input;
  return input.map((item: unknown) => {
    if (!isObject(item) || !Array.isArray(item.content)) return copiedPart(item, where);
    return { ...item, content: item.content.map((part: unknown) => copiedPart(part, where)) };
  }) as SessionInput;
}

/** Returns a part with copies of its bytes; the same part if it has none. */
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
  // Elements of more than one byte are not pixels; the prompt's checks report them.
  return (data as Uint8Array).BYTES_PER_ELEMENT === 1 ? { data: copyOf(data, where), width, height } : medium;
}
