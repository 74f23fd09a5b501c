/** Decodes text files: UTF-8 with or without a byte order mark; other encodings are detected for error messages. */
import { type Fault, type OcellusError, SourceError } from "../../base/errors.js";

/** Maximum size of a text file; tokenizers have 10 MB, conversations with embedded pictures more. */
export const MOST_TEXT_BYTES = 256 * 1024 * 1024;

type FaultClass = new (fault: Fault) => OcellusError;

/**
 * Decodes UTF-8, without the byte order mark that some Windows programs write. `offsetBytes`: offset of the bytes in their file, for error
 * messages. Throws SourceError, or an error of the given class, for UTF-16, UTF-32 and invalid UTF-8.
 */
export function decodeText(
  bytes: Uint8Array,
  where: string,
  { Fault = SourceError as FaultClass, offsetBytes = 0 }: { Fault?: FaultClass; offsetBytes?: number } = {},
): string {
  const encoding = wideEncoding(bytes);
  if (encoding) {
    const remedy =
      `save it as UTF-8: iconv -f ${encoding} -t UTF-8 FILE > NEW, ` +
      "or in PowerShell Get-Content FILE | Set-Content -Encoding utf8 NEW";
    throw new Fault({ where, expected: "UTF-8 text", got: encoding, remedy });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const at = invalidAt(bytes);
    const byte = bytes[at] === undefined ? "the end of it" : `byte 0x${bytes[at].toString(16).padStart(2, "0")}`;
    throw new Fault({
      where,
      expected: "UTF-8 text",
      got: `${byte} at offset ${offsetBytes + at}, which no character of UTF-8 has there`,
      remedy: "save it as UTF-8, or get an undamaged copy",
      cause,
    });
  }
}

/** Detects UTF-16 and UTF-32 by their byte order mark, or by the zero bytes in ASCII characters; undefined for other bytes. */
export function wideEncoding(bytes: Uint8Array): "UTF-16" | "UTF-32" | undefined {
  const [a, b, c, d] = bytes;
  if (a === 0xff && b === 0xfe) return c === 0 && d === 0 ? "UTF-32" : "UTF-16";
  if (a === 0xfe && b === 0xff) return "UTF-16";
  if (a === 0 && b === 0 && c === 0xfe && d === 0xff) return "UTF-32";
  // A text begins with a letter, digit or bracket, never with NUL.
  if (a !== undefined && b !== undefined && (a === 0) !== (b === 0)) return b === 0 && c === 0 ? "UTF-32" : "UTF-16";
  return undefined;
}

/** Returns the offset of the first invalid byte (RFC 3629, section 4); the length if the last character is truncated. */
function invalidAt(bytes: Uint8Array): number {
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at]!;
    const length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : 4;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4) return at;
    for (let i = 1; i < length; i++) {
      const next = bytes[at + i];
      if (next === undefined) return bytes.length;
      // The second byte excludes overlong forms, surrogates, and code points beyond U+10FFFF.
      const least = i === 1 && lead === 0xe0 ? 0xa0 : i === 1 && lead === 0xf0 ? 0x90 : 0x80;
      const most = i === 1 && lead === 0xed ? 0x9f : i === 1 && lead === 0xf4 ? 0x8f : 0xbf;
      if (next < least || next > most) return at;
    }
    at += length;
  }
  return bytes.length;
}
