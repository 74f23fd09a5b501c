/**
 * Parses the headers of a GIF: position, duration and disposal of each frame. Nothing is decoded.
 * Sources: GIF89a specification; for files that deviate from it, Pillow 13 (`GifImagePlugin.py`).
 */
import { asciiAt, dataView } from "../bytes/bytes.js";

export interface GifFrame {
  left: number;
  top: number;
  width: number;
  height: number;
  interlaced: boolean;
  /** RGB of the local colour table, else the global one; undefined if there is neither: indices are gray levels. */
  palette: Uint8Array | undefined;
  transparentIndex: number | undefined;
  /** Disposal method: 0 and 1 keep the frame, 2 clears its rectangle, 3 and above restore the previous content. */
  disposal: number;
  durationMilliseconds: number;
  /** LZW minimum code size, and the offset of the first data sub-block. */
  codeBits: number;
  dataStart: number;
}

const IMAGE = 0x2c;
const EXTENSION = 0x21;
const TRAILER = 0x3b;
const GRAPHIC_CONTROL = 0xf9;

/** The headers of a GIF. */
export interface GifFile {
  /** Size of the logical screen. */
  screen: { width: number; height: number };
  /** Index of the background colour; 0 if the file has no global colour table. */
  backgroundIndex: number;
  frames: readonly GifFrame[];
}

/** Returns the size of the logical screen, enlarged if the first frame exceeds it. */
export function gifSize({ screen, frames: [first] }: GifFile): { width: number; height: number } {
  if (!first) return screen;
  return {
    width: Math.max(screen.width, first.left + first.width),
    height: Math.max(screen.height, first.top + first.height),
  };
}

function skipBlocks(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length && bytes[at] !== 0) at += bytes[at]! + 1;
  return at + 1;
}

/**
 * Parses the headers of all frames, up to the trailer, the end of the file or a truncated header. Returns undefined if the file has no
 * complete header.
 */
export function readGif(bytes: Uint8Array): GifFile | undefined {
  if (bytes.length < 13 || !/^GIF8[79]a/.test(asciiAt(bytes, 0, 6))) return undefined;
  const view = dataView(bytes);
  const frames: GifFrame[] = [];
  const table = (flags: number, start: number) =>
    flags & 0x80 ? bytes.subarray(start, start + (3 << ((flags & 7) + 1))) : undefined;
  const shared = table(bytes[10]!, 13);
  let at = 13 + (shared ? 3 << ((bytes[10]! & 7) + 1) : 0);
  let disposal = 0;
  let durationMilliseconds = 0;
  let transparentIndex: number | undefined;
  while (at < bytes.length) {
    const kind = bytes[at]!;
    if (kind === TRAILER) break;
    if (kind === EXTENSION) {
      if (bytes[at + 1] === GRAPHIC_CONTROL && bytes[at + 2]! >= 4 && at + 7 <= bytes.length) {
        const flags = bytes[at + 3]!;
        if (flags & 1) transparentIndex = bytes[at + 6]!;
        durationMilliseconds = view.getUint16(at + 4, true) * 10;
        // Disposal 0 is unspecified: the previous frame's applies, as in Pillow.
        disposal = (flags >> 2) & 7 || disposal;
      }
      at = skipBlocks(bytes, at + 2);
    } else if (kind === IMAGE) {
      if (at + 11 > bytes.length) break;
      const flags = bytes[at + 9]!;
      const own = table(flags, at + 10);
      const codes = at + 10 + (own ? 3 << ((flags & 7) + 1) : 0);
      if (codes >= bytes.length) break;
      frames.push({
        left: view.getUint16(at + 1, true),
        top: view.getUint16(at + 3, true),
        width: view.getUint16(at + 5, true),
        height: view.getUint16(at + 7, true),
        interlaced: (flags & 0x40) !== 0,
        palette: own ?? shared,
        transparentIndex,
        disposal,
        durationMilliseconds,
        codeBits: bytes[codes]!,
        dataStart: codes + 1,
      });
      transparentIndex = undefined;
      durationMilliseconds = 0;
      at = skipBlocks(bytes, codes + 1);
    } else at++;
  }
  return {
    screen: { width: view.getUint16(6, true), height: view.getUint16(8, true) },
    backgroundIndex: shared ? bytes[11]! : 0,
    frames,
  };
}
