/** Parses the headers of a picture file for all its readers. Nothing is decoded. */

import { MediaError } from "../../base/errors.js";
import type { PictureFormat } from "../../platform/platform.js";
import { type BmpHeader, readBmpHeader } from "./bmp.js";
import { jpegOrientation, orientationOf, orientationOfTiff, pngOrientation, webpOrientation } from "./exif.js";
import { type GifFile, gifSize, readGif } from "./gif-frames.js";
import { type HeifFile, readHeif } from "./heif-items.js";
import { type JpegSegment, jpegSegments, jpegSize } from "./jpeg-segments.js";
import type { Orientation } from "./orientation.js";
import { sniffFormat } from "./picture-format.js";
import { isAnimatedPng, type PngChunk, pngChunks, pngSize } from "./png-chunks.js";
import { readTiffHeader, type TiffHeader } from "./tiff-header.js";
import { isAnimatedWebp, readWebp, type WebpFile, webpSize } from "./webp-chunks.js";

/** Maximum pixels, 16384 × 16384: less than 1 GiB as RGB8. */
export const MAX_PIXELS = 2 ** 28;

interface Size {
  /** In stored pixels: before the orientation is applied. */
  width: number;
  height: number;
}

interface Properties extends Size {
  /** Orientation of the stored pixels, in EXIF's numbering. */
  orientation: Orientation;
  /** Whether the file contains several pictures to be shown in sequence. */
  animated: boolean;
  /** Major brand of an ISO media file, "" for other formats. */
  brand: string;
}

/** The parsed headers of a picture file, which its decoder takes. */
type Headers =
  | { format: "png"; chunks: Iterable<PngChunk> }
  | { format: "jpeg"; segments: Iterable<JpegSegment> }
  | { format: "webp"; webp: WebpFile }
  | { format: "gif"; gif: GifFile | undefined }
  | { format: "bmp"; bmp: BmpHeader }
  | { format: "tiff"; tiff: TiffHeader }
  | { format: "avif" | "heic"; heif: HeifFile };

export type PictureInfo = Properties & Headers;

/**
 * Parses the headers of a picture file: format, size, orientation, animation and brand, and what its decoder needs. Throws MediaError
 * naming `where` for a file that is not a supported picture or has no readable size, no pixel or more than {@link MAX_PIXELS}.
 */
export function inspectPicture(bytes: Uint8Array, where: string): PictureInfo {
  const format = sniffFormat(bytes, where);
  const sized = (size: Size | undefined): Size => checkSize(size, bytes.length, format, where);
  switch (format) {
    case "png": {
      const chunks = pngChunks(bytes);
      const size = sized(pngSize(bytes, chunks));
      const animated = isAnimatedPng(chunks);
      return { format, ...size, orientation: pngOrientation(chunks), animated, brand: "", chunks };
    }
    case "jpeg": {
      const segments = jpegSegments(bytes);
      const size = sized(jpegSize(segments));
      return { format, ...size, orientation: jpegOrientation(segments), animated: false, brand: "", segments };
    }
    case "webp": {
      const webp = readWebp(bytes);
      const size = sized(webpSize(webp.chunks));
      const animated = isAnimatedWebp(webp.chunks);
      return { format, ...size, orientation: webpOrientation(webp.chunks), animated, brand: "", webp };
    }
    case "gif": {
      const gif = readGif(bytes);
      const size = sized(gif && gifSize(gif));
      return { format, ...size, orientation: 1, animated: gif !== undefined && gif.frames.length > 1, brand: "", gif };
    }
    case "bmp": {
      const bmp = readBmpHeader(bytes, where);
      const { width, height } = sized(bmp);
      return { format, width, height, orientation: 1, animated: false, brand: "", bmp };
    }
    case "tiff": {
      const tiff = readTiffHeader(bytes) ?? {};
      const { width, height, orientation = 1 } = tiff;
      const size = sized(width === undefined || height === undefined ? undefined : { width, height });
      return { format, ...size, orientation, animated: false, brand: "", tiff };
    }
    default: {
      const heif = readHeif(bytes, where, format === "avif");
      const { width, height } = sized(heif.picture);
      const { animated, majorBrand: brand } = heif;
      return { format, width, height, orientation: heifOrientation(heif), animated, brand, heif };
    }
  }
}

/** The boxes `irot` and `imir` take precedence over EXIF; XMP is used only if neither these nor EXIF give an orientation. */
function heifOrientation({ turn, exif, xmp }: HeifFile): Orientation {
  const unstated = turn === 1 && !(exif && orientationOfTiff(exif));
  return unstated ? orientationOf({ xmp }) : turn;
}

function checkSize(size: Size | undefined, lengthBytes: number, format: PictureFormat, where: string): Size {
  const pixels = size ? size.width * size.height : 0;
  if (size && pixels > 0 && pixels <= MAX_PIXELS) return size;
  throw new MediaError({
    where,
    expected: `a ${format.toUpperCase()} with 1 to ${MAX_PIXELS} pixels`,
    got: size ? `${size.width}×${size.height}` : `no readable size in its ${lengthBytes} bytes`,
    remedy: pixels > MAX_PIXELS ? "make the picture smaller" : "get an undamaged copy",
  });
}
