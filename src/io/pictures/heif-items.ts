/**
 * Parses the items of a HEIF file (AVIF, HEIC): types, properties, references and byte ranges. For a file with major brand `avis`, the
 * picture is the first sample of the first AV1 track instead. Nothing is decoded.
 *
 * Sources: ISO/IEC 23008-12 (HEIF), ISO/IEC 14496-12, AV1 Image File Format 1.1.
 */
import { MediaError } from "../../base/errors.js";
import { asciiAt, concatBytes, dataView } from "../bytes/bytes.js";
import { printableAscii } from "../bytes/printable-ascii.js";
import { BoxReader, boxAt, boxesIn } from "./iso-boxes.js";
import type { Orientation } from "./orientation.js";

/** Colour of an `nclx` box, code points of ITU-T H.273. */
export interface CodedColour {
  primaries: number;
  matrix: number;
  fullRange: boolean;
}

/** A coded picture, the input of a decoder. */
export interface CodedItem {
  /** Sample entry or item type, "av01" for AV1. */
  type: string;
  data: Uint8Array;
  /** The codec's configuration box without its header. */
  configuration: Uint8Array;
}

/** A picture of a HEIF file: one coded item, or a grid of coded items of equal size. */
export interface HeifPicture {
  /** Size in stored pixels: before rotation and mirroring. */
  width: number;
  height: number;
  columns: number;
  rows: number;
  /** In row-major order. */
  tiles: CodedItem[];
  colour: CodedColour | undefined;
  /** Whether the picture has an alpha plane. */
  hasAlpha: boolean;
}

export interface HeifFile {
  majorBrand: string;
  /** Whether the file is a sequence of pictures. */
  animated: boolean;
  picture: HeifPicture;
  /** The alpha plane, if the colours of the picture are premultiplied by it. */
  premultipliedBy: HeifPicture | undefined;
  /** Rotation and mirroring (`irot`, `imir`) as an EXIF orientation. */
  turn: Orientation;
  /** The bytes of the picture's Exif item (a TIFF block) and XMP item. */
  exif: Uint8Array | undefined;
  xmp: Uint8Array | undefined;
  /** The first top-level box that exceeds the file, if any. */
  truncatedBox: { type: string; offsetBytes: number } | undefined;
}

interface Item {
  type: string;
  contentType: string;
  extents: { offset: number; length: number; inIdat: boolean }[];
  properties: { type: string; body: Uint8Array }[];
  /** Ids of the referenced items by reference type, in order. */
  references: Map<string, number[]>;
}

/** Maximum number of items; real pictures have far fewer. */
const MAX_ITEMS = 65536;
const ALPHA_URN = /^urn:mpeg:(mpegB:cicp:systems:auxiliary:alpha|hevc:2015:auxid:1)$/;

class HeifReader {
  readonly #items = new Map<number, Item>();
  #primary: number | undefined;
  #idat: Uint8Array = new Uint8Array(0);

  constructor(
    readonly bytes: Uint8Array,
    readonly where: string,
  ) {}

  fault(expected: string, got: string): MediaError {
    return new MediaError({ where: this.where, expected, got, remedy: "get an undamaged copy of the picture" });
  }

  #item(id: number): Item {
    let item = this.#items.get(id);
    if (!item) {
      if (this.#items.size >= MAX_ITEMS) throw this.fault(`at most ${MAX_ITEMS} items`, "more");
      item = { type: "", contentType: "", extents: [], properties: [], references: new Map() };
      this.#items.set(id, item);
    }
    return item;
  }

  readMeta(meta: Uint8Array): void {
    const properties: { type: string; body: Uint8Array }[] = [];
    const associations: Uint8Array[] = [];
    // The first four bytes are version and flags.
    for (const { type, body } of boxesIn(meta.subarray(4))) {
      if (type === "pitm") {
        const reader = new BoxReader(body);
        const version = reader.read(1);
        reader.read(3);
        this.#primary = reader.read(version === 0 ? 2 : 4);
      } else if (type === "iinf") this.#readNames(body);
      else if (type === "iloc") this.#readPlaces(body);
      else if (type === "iref") this.#readReferences(body);
      else if (type === "idat") this.#idat = body;
      else if (type === "iprp") {
        for (const inner of boxesIn(body)) {
          if (inner.type === "ipco") properties.push(...boxesIn(inner.body));
          else if (inner.type === "ipma") associations.push(inner.body);
        }
      }
    }
    for (const body of associations) this.#associate(body, properties);
  }

  #readNames(body: Uint8Array): void {
    const version = body[0] ?? 0;
    for (const { type, body: entry } of boxesIn(body.subarray(version === 0 ? 6 : 8))) {
      if (type !== "infe") continue;
      const reader = new BoxReader(entry);
      const kind = reader.read(1);
      reader.read(3);
      if (kind < 2) continue;
      const item = this.#item(reader.read(kind === 2 ? 2 : 4));
      reader.read(2);
      item.type = reader.ascii(4);
      reader.text();
      if (item.type === "mime") item.contentType = reader.text();
    }
  }

  #readPlaces(body: Uint8Array): void {
    const reader = new BoxReader(body);
    const version = reader.read(1);
    reader.read(3);
    const sizes = reader.read(2);
    const offsetSize = sizes >> 12;
    const lengthSize = (sizes >> 8) & 15;
    const baseSize = (sizes >> 4) & 15;
    const indexSize = version === 0 ? 0 : sizes & 15;
    const count = reader.read(version < 2 ? 2 : 4);
    for (let i = 0; i < count && !reader.overrun; i++) {
      const item = this.#item(reader.read(version < 2 ? 2 : 4));
      const method = version === 0 ? 0 : reader.read(2) & 15;
      reader.read(2);
      const base = reader.read(baseSize);
      const extents = reader.read(2);
      for (let e = 0; e < extents && !reader.overrun; e++) {
        reader.read(indexSize);
        const offset = base + reader.read(offsetSize);
        item.extents.push({ offset, length: reader.read(lengthSize), inIdat: method === 1 });
      }
    }
  }

  #readReferences(body: Uint8Array): void {
    const size = (body[0] ?? 0) === 0 ? 2 : 4;
    for (const { type, body: entry } of boxesIn(body.subarray(4))) {
      const reader = new BoxReader(entry);
      const references = this.#item(reader.read(size)).references;
      const count = reader.read(2);
      const to = references.get(type) ?? [];
      for (let i = 0; i < count && reader.at + size <= entry.length; i++) to.push(reader.read(size));
      references.set(type, to);
    }
  }

  #associate(body: Uint8Array, properties: readonly { type: string; body: Uint8Array }[]): void {
    const reader = new BoxReader(body);
    const version = reader.read(1);
    const wide = (reader.read(3) & 1) === 1;
    const count = reader.read(4);
    for (let i = 0; i < count && !reader.overrun; i++) {
      const item = this.#item(reader.read(version < 1 ? 2 : 4));
      const own = reader.read(1);
      for (let p = 0; p < own && !reader.overrun; p++) {
        const index = wide ? reader.read(2) & 0x7fff : reader.read(1) & 0x7f;
        const property = properties[index - 1];
        if (property) item.properties.push(property);
      }
    }
  }

  #property(item: Item, type: string): Uint8Array | undefined {
    return item.properties.find((property) => property.type === type)?.body;
  }

  #bytesOf(id: number): Uint8Array {
    const parts: Uint8Array[] = [];
    let total = 0;
    for (const { offset, length, inIdat } of this.#item(id).extents) {
      const from = inIdat ? this.#idat : this.bytes;
      const end = length === 0 ? from.length : offset + length;
      if (offset > from.length || end > from.length) {
        throw this.fault(`item ${id} at bytes ${offset} to ${end}`, `${from.length} bytes (the picture is cut off)`);
      }
      total += end - offset;
      if (total > this.bytes.length) throw this.fault(`item ${id} within the file's size`, "pieces that overlap");
      parts.push(from.subarray(offset, end));
    }
    return parts.length === 1 ? parts[0]! : concatBytes(parts);
  }

  /** Returns the bytes of the first metadata item that describes `id` (reference `cdsc`) and satisfies `wanted`. */
  #about(id: number, wanted: (item: Item) => boolean): Uint8Array | undefined {
    for (const [other, item] of this.#items) {
      if (item.references.get("cdsc")?.includes(id) && wanted(item)) return this.#bytesOf(other);
    }
    return undefined;
  }

  #coded(id: number): CodedItem {
    const item = this.#item(id);
    const configuration = this.#property(item, item.type === "hvc1" ? "hvcC" : "av1C");
    if (!configuration) {
      throw this.fault(
        "a picture coded as AV1 or HEVC",
        item.type ? `an item of type "${printableAscii(item.type)}"` : "none",
      );
    }
    return { type: item.type, data: this.#bytesOf(id), configuration };
  }

  #sizeOf(item: Item): { width: number; height: number } {
    const ispe = this.#property(item, "ispe");
    if (!ispe || ispe.length < 12) throw this.fault("the picture's size (an ispe property)", "none");
    const view = dataView(ispe);
    return { width: view.getUint32(4), height: view.getUint32(8) };
  }

  /** Reads a coded item or a grid. If `withData` is false, `tiles` is empty. */
  #pictureOf(id: number, withData: boolean): HeifPicture {
    const item = this.#item(id);
    const size = this.#sizeOf(item);
    let colour: CodedColour | undefined;
    for (const { type, body } of item.properties) {
      if (type === "colr") colour ??= readColour(body);
    }
    const hasAlpha = this.#alphaOf(id) !== undefined;
    if (item.type !== "grid") {
      return { ...size, columns: 1, rows: 1, tiles: withData ? [this.#coded(id)] : [], colour, hasAlpha };
    }
    const reader = new BoxReader(this.#bytesOf(id));
    reader.read(1);
    const wide = (reader.read(1) & 1) === 1;
    const rows = reader.read(1) + 1;
    const columns = reader.read(1) + 1;
    const width = reader.read(wide ? 4 : 2);
    const height = reader.read(wide ? 4 : 2);
    const parts = item.references.get("dimg") ?? [];
    if (parts.length !== rows * columns || new Set(parts).size !== parts.length) {
      throw this.fault(`${rows * columns} tiles of a grid, each another`, `${new Set(parts).size}`);
    }
    if (width !== size.width || height !== size.height) {
      throw this.fault(`a grid of ${size.width}×${size.height} pixels`, `${width}×${height}`);
    }
    colour ??= this.#pictureOf(this.#tile(parts[0]!), false).colour;
    const tiles = withData ? parts.map((part) => this.#coded(part)) : [];
    return { width, height, columns, rows, tiles, colour, hasAlpha };
  }

  /** Returns `id`. Throws MediaError if it is itself a grid. */
  #tile(id: number): number {
    if (this.#item(id).type === "grid") throw this.fault("coded pictures in a grid", "another grid");
    return id;
  }

  /** Returns the id of the alpha plane of `id` (reference `auxl`); undefined if it has none. */
  #alphaOf(id: number): number | undefined {
    for (const [other, item] of this.#items) {
      const urn = item.references.get("auxl")?.includes(id) ? this.#property(item, "auxC") : undefined;
      if (urn && ALPHA_URN.test(new BoxReader(urn.subarray(4)).text())) return other;
    }
    return undefined;
  }

  /** Returns the alpha plane of `id`, if its colours are premultiplied (reference `prem`). */
  #premultipliedBy(id: number, withData: boolean): HeifPicture | undefined {
    const alpha = this.#alphaOf(id);
    const [by] = this.#item(id).references.get("prem") ?? [];
    return alpha !== undefined && alpha === by ? this.#pictureOf(alpha, withData) : undefined;
  }

  primary(withData: boolean): Omit<HeifFile, "majorBrand" | "animated" | "truncatedBox"> {
    const id = this.#primary;
    if (id === undefined) throw this.fault("a primary picture", "no pitm box");
    const item = this.#item(id);
    const exif = this.#about(id, ({ type }) => type === "Exif");
    return {
      picture: this.#pictureOf(id, withData),
      premultipliedBy: this.#premultipliedBy(id, withData),
      turn: turnOf(this.#property(item, "irot"), this.#property(item, "imir")),
      exif: exif && exif.length > 4 ? exif.subarray(4 + dataView(exif).getUint32(0)) : undefined,
      xmp: this.#about(id, ({ contentType }) => contentType === "application/rdf+xml"),
    };
  }

  /** Reads the first sample of the first AV1 track that is not an auxiliary track. */
  firstSample(moov: Uint8Array): HeifPicture {
    let first: { table: Uint8Array; entry: Uint8Array } | undefined;
    let hasAlpha = false;
    for (const { type, body } of boxesIn(moov)) {
      const table = type === "trak" ? boxAt(body, "mdia", "minf", "stbl") : undefined;
      const entries = table && boxAt(table, "stsd");
      const entry = entries && boxAt(entries.subarray(8), "av01");
      if (!table || !entry) continue;
      const kind = boxAt(entry.subarray(78), "auxi");
      if (asciiAt(boxAt(body, "mdia", "hdlr") ?? body, 8, 4) !== "auxv") first ??= { table, entry };
      else if (kind && ALPHA_URN.test(new BoxReader(kind.subarray(4)).text())) hasAlpha = true;
    }
    const inEntry = first?.entry.subarray(78);
    const configuration = inEntry && boxAt(inEntry, "av1C");
    if (!first || !configuration) throw this.fault("a track of AV1 pictures", "none");
    const colr = boxAt(inEntry, "colr");
    const view = dataView(first.entry);
    return {
      width: view.getUint16(24),
      height: view.getUint16(26),
      columns: 1,
      rows: 1,
      tiles: [{ type: "av01", data: this.#sample(first.table), configuration }],
      colour: colr && readColour(colr),
      hasAlpha,
    };
  }

  #sample(table: Uint8Array): Uint8Array {
    const sizes = new BoxReader(boxAt(table, "stsz")?.subarray(4) ?? new Uint8Array(0));
    const common = sizes.read(4);
    sizes.read(4);
    const size = common || sizes.read(4);
    const short = boxAt(table, "stco");
    const places = new BoxReader((short ?? boxAt(table, "co64") ?? new Uint8Array(0)).subarray(8));
    const offset = places.read(short ? 4 : 8);
    if (places.overrun || sizes.overrun || size === 0) throw this.fault("the place of the first picture", "none");
    if (offset + size > this.bytes.length) {
      throw this.fault(
        `the first picture at bytes ${offset} to ${offset + size}`,
        `${this.bytes.length} bytes (cut off)`,
      );
    }
    return this.bytes.subarray(offset, offset + size);
  }
}

function readColour(body: Uint8Array): CodedColour | undefined {
  if (asciiAt(body, 0, 4) !== "nclx" || body.length < 11) return undefined;
  const view = dataView(body);
  return { primaries: view.getUint16(4), matrix: view.getUint16(8), fullRange: body[10]! >= 128 };
}

/** Combines `irot` (quarter turns anticlockwise) and then `imir` (axis 0 swaps top and bottom, axis 1 left and right). */
function turnOf(irot: Uint8Array | undefined, imir: Uint8Array | undefined): Orientation {
  const quarters = (irot?.[0] ?? 0) & 3;
  if (!imir) return ([1, 8, 3, 6] as const)[quarters]!;
  return (imir[0]! & 1 ? ([2, 7, 4, 5] as const) : ([4, 5, 2, 7] as const))[quarters]!;
}

/**
 * Parses the primary picture of an AVIF or HEIC. If `withData` is false, coded data are left out. Throws MediaError naming `where` for
 * a truncated file and for boxes that contradict each other.
 */
export function readHeif(bytes: Uint8Array, where: string, withData = true): HeifFile {
  const reader = new HeifReader(bytes, where);
  let majorBrand = "";
  let meta: Uint8Array | undefined;
  let moov: Uint8Array | undefined;
  let truncatedBox: HeifFile["truncatedBox"];
  for (const { type, body, offsetBytes, sizeBytes, complete } of boxesIn(bytes)) {
    // A truncated `mdat` is reported only if missing data are needed. Truncated boxes after `meta` are ignored here.
    if (!complete && type !== "mdat" && (!meta || type === "meta" || type === "moov")) {
      throw reader.fault(
        `the whole "${printableAscii(type)}" box at byte ${offsetBytes}`,
        "the end of the file inside it",
      );
    }
    if (sizeBytes < 8 || offsetBytes + sizeBytes > bytes.length) truncatedBox = { type, offsetBytes };
    if (type === "ftyp") majorBrand ||= asciiAt(body, 0, 4);
    else if (type === "meta") meta ??= body;
    else if (type === "moov") moov ??= body;
  }
  const animated = moov !== undefined;
  if (majorBrand === "avis" && moov) {
    const picture = reader.firstSample(moov);
    const still = { picture, premultipliedBy: undefined, turn: 1, exif: undefined, xmp: undefined } as const;
    return { majorBrand, animated, ...still, truncatedBox };
  }
  if (!meta) throw reader.fault("a meta box that lists the pictures", "none");
  reader.readMeta(meta);
  return { majorBrand, animated, ...reader.primary(withData), truncatedBox };
}
