/** The header of a TIFF's first picture. Sources: TIFF 6.0; BigTIFF. */
import { asciiAt, dataView } from "../bytes/bytes.js";
import { ORIENTATION_TAG, orientationOfEntry } from "./exif.js";
import type { Orientation } from "./orientation.js";

const TAGS = {
  width: 256,
  height: 257,
  bits: 258,
  photometric: 262,
  sampleFormat: 339,
} as const;

export type TiffHeader = { -readonly [name in keyof typeof TAGS]?: number } & {
  /** Undefined for a BigTIFF too: the reference ignores its orientation. */
  orientation?: Orientation;
};

/** Reads the first value of each tag in the first directory; undefined if there is no directory. */
export function readTiffHeader(bytes: Uint8Array): TiffHeader | undefined {
  if (bytes.length < 16) return undefined;
  const view = dataView(bytes);
  const little = asciiAt(bytes, 0, 2) === "II";
  const big = view.getUint16(2, little) === 43;
  const directory = big ? Number(view.getBigUint64(8, little)) : view.getUint32(4, little);
  const countBytes = big ? 8 : 2;
  const entryBytes = big ? 20 : 12;
  if (directory + countBytes > bytes.length) return undefined;
  const entries = big ? Number(view.getBigUint64(directory, little)) : view.getUint16(directory, little);
  const header: TiffHeader = {};
  for (let i = 0; i < entries; i++) {
    const entry = directory + countBytes + i * entryBytes;
    if (entry + entryBytes > bytes.length) break;
    const tag = view.getUint16(entry, little);
    if (tag === ORIENTATION_TAG && !big) header.orientation ??= orientationOfEntry(view, entry, little);
    const name = (Object.keys(TAGS) as (keyof typeof TAGS)[]).find((key) => TAGS[key] === tag);
    if (!name || header[name] !== undefined) continue;
    const short = view.getUint16(entry + 2, little) === 3;
    const count = big ? Number(view.getBigUint64(entry + 4, little)) : view.getUint32(entry + 4, little);
    // Values that do not fit into the entry are at the offset it contains.
    const inside = count * (short ? 2 : 4) <= (big ? 8 : 4);
    const place = entry + (big ? 12 : 8);
    const at = inside ? place : big ? Number(view.getBigUint64(place, little)) : view.getUint32(place, little);
    if (at + 4 <= bytes.length) header[name] = short ? view.getUint16(at, little) : view.getUint32(at, little);
  }
  return header;
}
