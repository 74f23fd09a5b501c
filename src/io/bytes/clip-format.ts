/** Detects the format of a clip from its first bytes, since file names and media types are often wrong. */
import { MediaError } from "../../base/errors.js";
import { asciiAt } from "./bytes.js";
import { textFile } from "./text-file.js";

export type ClipFormat = "gif" | "webp" | "matroska" | "mp4";

/** Bytes needed to detect the format. */
export const CLIP_START_BYTES = 512;

/** Signature of Matroska and WebM (the id of the EBML element). */
export const EBML = "\x1a\x45\xdf\xa3";

/** Types of the first box of MP4 and QuickTime files. */
const FIRST_BOXES = new Set(["ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "styp", "sidx", "moof", "uuid"]);

/** Returns the format of a clip that begins with `start`; undefined if unsupported. Too few bytes count as a truncated MP4. */
export function clipFormat(start: Uint8Array): ClipFormat | undefined {
  if (/^GIF8[79]a/.test(asciiAt(start, 0, 6))) return "gif";
  if (asciiAt(start, 0, 4) === "RIFF" && asciiAt(start, 8, 4) === "WEBP") return "webp";
  if (asciiAt(start, 0, 4) === EBML) return "matroska";
  return start.length < 8 || FIRST_BOXES.has(asciiAt(start, 4, 4)) ? "mp4" : undefined;
}

/** Returns the error for an unsupported file, named by its first bytes. */
export function unknownClip(label: string, start: Uint8Array): MediaError {
  const expected = "an MP4, QuickTime, WebM or Matroska file, or an animated GIF or WebP";
  const text = textFile(asciiAt(start, 0, 32));
  if (text) return new MediaError({ where: label, expected, ...text });
  const container = containerOf(start);
  return new MediaError({
    where: label,
    expected,
    got: container ?? describeStart(start),
    remedy: isStill(start)
      ? 'give it as a picture: { type: "image", image }, or --image on the command line'
      : container
        ? "move it into an MP4: ffmpeg -i in -c copy out.mp4, or with -c:v libx264 -pix_fmt yuv420p in place of -c copy where its codec is old"
        : "convert it to MP4: ffmpeg -i in -c:v libx264 -pix_fmt yuv420p out.mp4",
  });
}

/** Packet sizes of MPEG transport streams: plain, and with a 4-byte timestamp (M2TS of cameras and Blu-ray discs). */
const PACKET_BYTES = 188;
const TIMED_PACKET_BYTES = 192;

/** Names another common container; undefined if unknown. */
function containerOf(bytes: Uint8Array): string | undefined {
  const start = asciiAt(bytes, 0, 16);
  if (start.startsWith("RIFF") && start.slice(8, 12) === "AVI ") return "an AVI file";
  if (start.startsWith("OggS")) return "an Ogg file";
  if (start.startsWith("FLV")) return "a Flash video (FLV)";
  if (isPackets(bytes, 0, PACKET_BYTES) || isPackets(bytes, 4, TIMED_PACKET_BYTES))
    return "an MPEG transport stream (TS)";
  if (start.startsWith("\0\0\x01\xba")) return "an MPEG program stream";
  if (start.startsWith("\0\0\x01\xb3")) return "a bare MPEG video stream";
  if (start.startsWith("\x30\x26\xb2\x75\x8e\x66\xcf\x11")) return "a Windows Media file (ASF, WMV)";
  if (start.startsWith(".RMF")) return "a RealMedia file";
  if (start.startsWith("\x06\x0e\x2b\x34")) return "an MXF file";
  if (start.startsWith("DKIF")) return "an IVF file";
  if (start.startsWith("YUV4MPEG2")) return "a Y4M file";
  if (start.startsWith("\0\0\0\x01") || start.startsWith("\0\0\x01")) return "a bare stream of a codec, such as H.264";
  return undefined;
}

/** Whether all packets from `first` on begin with the sync byte; at least two are needed. */
function isPackets(bytes: Uint8Array, first: number, lengthBytes: number): boolean {
  if (bytes.length <= first + lengthBytes) return false;
  for (let at = first; at < bytes.length; at += lengthBytes) if (bytes[at] !== 0x47) return false;
  return true;
}

/** Whether a file begins like a PNG, JPEG, BMP or TIFF. */
function isStill(bytes: Uint8Array): boolean {
  return /^(\x89PNG|\xff\xd8\xff|BM|II\*\0|MM\0\*)/.test(asciiAt(bytes, 0, 4));
}

/** Describes other common inputs, for error messages. */
function describeStart(bytes: Uint8Array): string {
  const start = asciiAt(bytes, 0, 16);
  if (start.startsWith(EBML)) return "a WebM or Matroska file";
  if (start.startsWith("#EXTM3U")) return "a playlist (HLS), which names the clip's files";
  if (isStill(bytes)) return "a still picture";
  if (/^ID3|^\xff[\xfb\xf3\xf2]|^fLaC|^RIFF....WAVE/s.test(start)) return "a sound file, which has no pictures";
  if (start.startsWith("PK\x03\x04")) return "a ZIP archive";
  if (start.startsWith("%PDF")) return "a PDF document";
  if (/^[\t\n\r\x20-\x7e]+$/.test(start)) return `text beginning with ${JSON.stringify(start)}`;
  return `unknown bytes ${[...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, "0")).join(" ")}`;
}
