/** Errors for a text that holds the bytes of a file where a path was expected. */
import { MediaError } from "../../base/errors.js";

/** How the base64 of pictures and clips begins, with the MIME type. */
const BEGINNINGS: readonly (readonly [RegExp, string])[] = [
  [/^iVBORw0KGgo/, "image/png"],
  [/^\/9j\//, "image/jpeg"],
  [/^R0lGOD/, "image/gif"],
  [/^UklGR/, "image/webp"],
  [/^Qk[0-3]/, "image/bmp"],
  [/^(SUkq|TU0A)/, "image/tiff"],
  [/^AAAA.GZ0eXB/, "video/mp4"],
  [/^GkXfo/, "video/webm"],
];
/** No path is as long. */
const LONGEST_PATH = 4096;

/** Returns the error for base64 text and for bytes that were read as text; undefined for any other text. */
export function bytesAsText(text: string, where: string, cause: unknown): MediaError | undefined {
  const place = where === text ? `${text.slice(0, 24)}…` : where;
  const error = (got: string, remedy: string): MediaError =>
    new MediaError({ where: place, expected: "a path, a URL, or the bytes of a file", got, remedy, cause });
  const [, type] = /^([\w-]+\/[\w+.-]+);base64,/.exec(text) ?? [];
  if (type !== undefined) return error("a data: URL without its scheme", `write data:${text.slice(0, 24)}…`);
  const isBase64 = /^[A-Za-z0-9+/_\s-]+={0,2}\s*$/.test(text);
  const mime = BEGINNINGS.find(([beginning]) => beginning.test(text))?.[1];
  if (isBase64 && (text.length > LONGEST_PATH || (mime !== undefined && text.length >= 16))) {
    const url = `\`data:${mime ?? "image/png"};base64,\${text}\``;
    return error(`base64 text of ${text.length} characters`, `give it as a data: URL, ${url}, or decoded, as bytes`);
  }
  const control = [...text.slice(0, 64)].some((character) => character < " " || character === "\ufffd");
  if (control || text.length > LONGEST_PATH) {
    return error(
      "the bytes of a file as text",
      "read the file without an encoding, as in readFile(path), and give the bytes",
    );
  }
  return undefined;
}
