/**
 * Decodes AVIF in runtimes whose decoder returns samples: extracts the coded pictures from their container, decodes them one by one,
 * composes the tiles of a grid, and converts to RGB as the reference does.
 */

import { MediaError } from "../../base/errors.js";
import type { DecodedSamples } from "../../platform/platform.js";
import { concatBytes } from "../bytes/bytes.js";
import { printableAscii } from "../bytes/printable-ascii.js";
import { type Av1Sequence, readAv1Sequence } from "./av1-header.js";
import { type AvifPlanes, avifToRgb } from "./avif-colour.js";
import type { CodedItem, HeifFile, HeifPicture } from "./heif-items.js";
import type { Pixels } from "./resize.js";

/** Decodes an AVIF of one coded picture with the identity matrix; the red channel of the result is V, green is Y, blue is U. */
export type DecodeSamples = (avif: Uint8Array, deep: boolean, where: string) => Promise<DecodedSamples>;

/** Decodes the primary picture of `file` to RGB8; the orientation is not applied. Throws MediaError naming `where`. */
export async function decodeAvif(
  file: HeifFile,
  decodeSamples: DecodeSamples,
  where: string,
  maxPixels: number,
): Promise<Pixels> {
  const { picture, premultipliedBy } = file;
  const { planes, sequence } = await planesOf(picture, decodeSamples, where, maxPixels);
  const alpha = premultipliedBy && (await planesOf(premultipliedBy, decodeSamples, where, maxPixels)).planes;
  if (alpha && (alpha.width !== planes.width || alpha.height !== planes.height)) {
    throw fault(where, `an alpha plane of ${planes.width}×${planes.height}`, `${alpha.width}×${alpha.height}`);
  }
  const data = avifToRgb(planes, picture.colour ?? sequence, where, picture.hasAlpha, alpha);
  return { width: planes.width, height: planes.height, data };
}

function fault(where: string, expected: string, got: string): MediaError {
  return new MediaError({ where, expected, got, remedy: "get an undamaged copy, or convert the picture to PNG" });
}

async function planesOf(
  picture: HeifPicture,
  decodeSamples: DecodeSamples,
  where: string,
  maxPixels: number,
): Promise<{ planes: AvifPlanes; sequence: Av1Sequence }> {
  const { width, height, columns, tiles } = picture;
  let whole: { planes: AvifPlanes; sequence: Av1Sequence } | undefined;
  for (const [index, tile] of tiles.entries()) {
    const sequence = readAv1Sequence(concatBytes([tile.configuration.subarray(4), tile.data]), where);
    if (tile.type !== "av01" || sequence.width * sequence.height > maxPixels) {
      throw fault(
        where,
        `AV1 of at most ${maxPixels} pixels`,
        `${printableAscii(tile.type)}, ${sequence.width}×${sequence.height}`,
      );
    }
    const first = whole?.sequence ?? sequence;
    const same = (["width", "height", "bits", "monochrome", "halfX", "halfY"] as const).every(
      (key) => first[key] === sequence[key],
    );
    const rows = picture.rows;
    // With subsampled chroma, tiles must have an even size, so that no chroma sample crosses their border.
    const even = tiles.length === 1 || !sequence.halfX || (sequence.width % 2 === 0 && sequence.height % 2 === 0);
    const fits =
      tiles.length === 1
        ? sequence.width === width && sequence.height === height
        : sequence.width * columns >= width && sequence.height * rows >= height;
    if (!same || !even || !fits) {
      throw fault(where, `equal tiles that fill ${width}×${height}`, `one of ${sequence.width}×${sequence.height}`);
    }
    whole ??= { planes: emptyPlanes(width, height, sequence), sequence };
    const samples = await decodeSamples(oneItemAvif(tile, sequence), sequence.bits > 8, where);
    if (samples.width !== sequence.width || samples.height !== sequence.height) {
      throw fault(where, `${sequence.width}×${sequence.height}`, `${samples.width}×${samples.height} from the decoder`);
    }
    place(samples, whole.planes, (index % columns) * sequence.width, Math.floor(index / columns) * sequence.height);
  }
  if (!whole) throw fault(where, "a coded picture", "none");
  return whole;
}

function emptyPlanes(width: number, height: number, { bits, monochrome, halfX, halfY }: Av1Sequence): AvifPlanes {
  const make = (count: number) => (bits > 8 ? new Uint16Array(count) : new Uint8Array(count));
  const chroma = (halfX ? (width + 1) >> 1 : width) * (halfY ? (height + 1) >> 1 : height);
  const plane = () => (monochrome ? undefined : make(chroma));
  return { width, height, bits, halfX, halfY, y: make(width * height), u: plane(), v: plane() };
}

/** Copies a tile to its position, clipped to the picture. The decoder upsamples chroma by repetition: every second sample is copied. */
function place(tile: DecodedSamples, into: AvifPlanes, left: number, top: number): void {
  const { data, width, channels } = tile;
  const shift = tile.bits - into.bits;
  const copy = (plane: Uint8Array | Uint16Array, channel: number, halfX: boolean, halfY: boolean): void => {
    const stepX = halfX ? 2 : 1;
    const stepY = halfY ? 2 : 1;
    const stride = Math.ceil(into.width / stepX);
    for (let y = 0; y < tile.height && top + y < into.height; y += stepY) {
      let read = y * width * channels + channel;
      let write = ((top + y) / stepY) * stride + left / stepX;
      const end = Math.min(width, into.width - left);
      for (let x = 0; x < end; x += stepX, read += stepX * channels) plane[write++] = data[read]! >> shift;
    }
  };
  copy(into.y, channels > 2 ? 1 : 0, false, false);
  if (into.u && into.v) {
    copy(into.u, 2, into.halfX, into.halfY);
    copy(into.v, 0, into.halfX, into.halfY);
  }
}

const ascii = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const number = (value: number, bytes: 2 | 4) =>
  Uint8Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 255);

function box(type: string, ...parts: Uint8Array[]): Uint8Array {
  const body = concatBytes(parts);
  return concatBytes([number(body.length + 8, 4), ascii(type), body]);
}

/** Writes an AVIF with `item` as its only item, and the identity matrix (samples are GBR), so that decoders return samples unconverted. */
export function oneItemAvif({ data, configuration }: CodedItem, { width, height }: Av1Sequence): Uint8Array {
  const zeros = number(0, 4);
  const ftyp = box("ftyp", ascii("avif"), zeros, ascii("avifmif1miaf"));
  const properties = box(
    "ipco",
    box("ispe", zeros, number(width, 4), number(height, 4)),
    box("av1C", configuration),
    // Primaries 1, transfer 13, matrix 0 (the identity), full range.
    box("colr", ascii("nclx"), number(1, 2), number(13, 2), number(0, 2), Uint8Array.of(0x80)),
  );
  const meta = (offset: number) =>
    box(
      "meta",
      zeros,
      box("hdlr", zeros, zeros, ascii("pict"), new Uint8Array(13)),
      box("pitm", zeros, number(1, 2)),
      // One extent of 4-byte offset and length.
      box(
        "iloc",
        zeros,
        number(0x4400, 2),
        ...[1, 1, 0, 1].map((n) => number(n, 2)),
        number(offset, 4),
        number(data.length, 4),
      ),
      box("iinf", zeros, number(1, 2), box("infe", number(0x02000000, 4), number(1, 2), number(0, 2), ascii("av01\0"))),
      // The item has all three properties; the codec's is essential.
      box("iprp", properties, box("ipma", zeros, number(1, 4), number(1, 2), Uint8Array.of(3, 1, 0x82, 3))),
    );
  const offset = ftyp.length + meta(0).length + 8;
  return concatBytes([ftyp, meta(offset), box("mdat", data)]);
}
