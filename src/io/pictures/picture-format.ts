/** Detects the format of a picture file from its first bytes; file names are ignored. Sources: the formats' specifications. */

import { MediaError } from "../../base/errors.js";
import type { PictureFormat } from "../../platform/platform.js";
import { asciiAt, dataView } from "../bytes/bytes.js";
import { EBML } from "../bytes/clip-format.js";
import { printableAscii } from "../bytes/printable-ascii.js";
import { textFile } from "../bytes/text-file.js";

const ACCEPTED = "a JPEG, PNG, WebP, GIF, AVIF, BMP, TIFF or HEIC picture";

/** Unsupported formats by signature, to name them in messages. */
const OTHERS: readonly [start: RegExp, name: string][] = [
  [/^%PDF/, "a PDF document"],
  [/^8BPS/, "a Photoshop document"],
  [/^\xff\n|^....JXL /s, "a JPEG XL picture"],
  [/^....jP {2}|^\xffO\xffQ/s, "a JPEG 2000 picture"],
  [/^icns/, "an icon of macOS"],
  [/^P[1-7][\s#]/, "a PNM picture"],
  [/^qoif/, "a QOI picture"],
  [/^DDS /, "a DDS texture"],
  [/^FLIF/, "a FLIF picture"],
  [/^(?:\xef\xbb\xbf)?\s*<(?:svg|\?xml)/i, "an SVG picture or another XML text"],
  [/^PK../s, "a ZIP archive"],
];

const CONVERT = "convert it to PNG or JPEG";
const AS_VIDEO = 'give a clip as a video: { type: "video" } in a message, --video on the command line';

/** Describes bytes that are not a supported picture, for an error message. */
function unsupported(bytes: Uint8Array): { got: string; remedy: string } {
  if (bytes.length === 0) return { got: "no bytes at all", remedy: "give the bytes of a picture file" };
  const start = asciiAt(bytes, 0, 32);
  if (["\0\0\x01\0", "\0\0\x02\0"].includes(start.slice(0, 4))) {
    return { got: "an icon or cursor of Windows", remedy: CONVERT };
  }
  if (start.startsWith(EBML)) return { got: "a WebM or Matroska clip", remedy: AS_VIDEO };
  const text = textFile(start);
  if (text) return text;
  const other = OTHERS.find(([pattern]) => pattern.test(start));
  if (other) return { got: other[1], remedy: CONVERT };
  if (start.slice(4, 8) === "ftyp") {
    return { got: `an ISO media file of brand "${printableAscii(start.slice(8, 12).trim())}"`, remedy: AS_VIDEO };
  }
  if (/^[\t\n\r\x20-\x7e]+$/.test(start)) {
    const got = `text beginning with ${JSON.stringify(start.slice(0, 16))}`;
    return { got, remedy: "give the bytes of a picture file, or its path or URL" };
  }
  const first = [...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, "0"));
  return { got: `unknown bytes ${first.join(" ")}`, remedy: CONVERT };
}

const AVIF_BRANDS = ["avif", "avis"];
const HEIC_BRANDS = ["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1"];

function isoFormat(bytes: Uint8Array): PictureFormat | undefined {
  if (asciiAt(bytes, 4, 4) !== "ftyp" || bytes.length < 16) return undefined;
  const brands = asciiAt(bytes, 8, Math.min(dataView(bytes).getUint32(0), 256) - 8).match(/.{4}/gs) ?? [];
  if (brands.some((brand) => AVIF_BRANDS.includes(brand))) return "avif";
  return brands.some((brand) => HEIC_BRANDS.includes(brand)) ? "heic" : undefined;
}

/** Returns the format by its magic bytes. Throws MediaError, which names the format found instead. */
export function sniffFormat(bytes: Uint8Array, where: string): PictureFormat {
  if (asciiAt(bytes, 0, 8) === "\x89PNG\r\n\x1a\n") {
    if (asciiAt(bytes, 12, 4) !== "CgBI") return "png";
    throw new MediaError({
      where,
      expected: "a standard PNG",
      got: "one that Xcode rewrote for iOS (chunk CgBI), which other decoders cannot read",
      remedy: "use the original, or revert it on a Mac: xcrun pngcrush -revert-iphone-optimizations in.png out.png",
    });
  }
  const start = asciiAt(bytes, 0, 12);
  if (start.startsWith("\xff\xd8\xff")) return "jpeg";
  if (/^RIFF....WEBP/s.test(start)) return "webp";
  if (/^GIF8[79]a/.test(start)) return "gif";
  if (start.startsWith("BM")) return "bmp";
  if (["II*\0", "II+\0", "MM\0*", "MM\0+"].includes(start.slice(0, 4))) return "tiff";
  const iso = isoFormat(bytes);
  if (iso) return iso;
  throw new MediaError({ where, expected: ACCEPTED, ...unsupported(bytes) });
}
