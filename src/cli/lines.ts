/** Splits a JSON Lines file into lines of bytes, so that an invalid line does not affect the others. */

import { OcellusError, SourceError } from "../base/errors.js";
import { fileSource } from "../io/source.js";
import { decodeText, MOST_TEXT_BYTES, wideEncoding } from "../io/text.js";

/** A line without its terminator, LF or CRLF. */
export interface Line {
  /** Line number, from 1. */
  readonly number: number;
  /** Byte offset from the start of the file. */
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

const LINE_FEED = 0x0a;
const CHUNK_BYTES = 1024 * 1024;

/** Reads a regular file in chunks. Throws SourceError. */
export async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  const source = await fileSource(path);
  try {
    for (let at = 0; at < source.sizeBytes; at += CHUNK_BYTES) {
      yield await source.read(at, Math.min(CHUNK_BYTES, source.sizeBytes - at));
    }
  } finally {
    await source.close();
  }
}

/**
 * Yields the non-blank lines; U+2028 and U+2029 do not end lines in JSON. Throws SourceError for UTF-16 and UTF-32, and for a line of
 * more than 256 MiB.
 */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, where: string): AsyncGenerator<Line> {
  let parts: Uint8Array[] = [];
  let [number, offsetBytes, size] = [1, 0, 0];
  const line = (): Line => {
    const bytes = new Uint8Array(Buffer.concat(parts, size));
    return { number, offsetBytes, bytes: bytes.at(-1) === 0x0d ? bytes.subarray(0, -1) : bytes };
  };
  let started = false;
  for await (const chunk of chunks) {
    if (!started && wideEncoding(chunk)) decodeText(chunk, where);
    started ||= chunk.length > 0;
    for (let from = 0; from < chunk.length; ) {
      const feed = chunk.indexOf(LINE_FEED, from);
      const end = feed < 0 ? chunk.length : feed;
      parts.push(chunk.subarray(from, end));
      size += end - from;
      if (size > MOST_TEXT_BYTES) {
        const remedy = "check that it is the right file: it has one request per line";
        throw new SourceError({
          where: `${where}, line ${number}`,
          expected: `at most ${MOST_TEXT_BYTES} bytes`,
          got: "more",
          remedy,
        });
      }
      if (feed < 0) break;
      const whole = line();
      if (!isBlank(whole.bytes)) yield whole;
      parts = [];
      number++;
      offsetBytes += size + 1;
      size = 0;
      from = feed + 1;
    }
  }
  const last = line();
  if (!isBlank(last.bytes)) yield last;
}

/** Decodes a line, or returns why it cannot be decoded. */
export function textOf({ bytes, offsetBytes }: Line): string | OcellusError {
  try {
    return decodeText(bytes, "the line", { offsetBytes });
  } catch (cause) {
    if (cause instanceof OcellusError) return cause;
    throw cause;
  }
}

/** Spaces, tabs, carriage returns and a byte order mark. */
function isBlank(bytes: Uint8Array): boolean {
  const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.every((byte, i) => byte === 0x20 || byte === 0x09 || byte === 0x0d || (marked && i < 3));
}
