/**
 * The boxes of an MP4 or QuickTime file that describe it, read by byte ranges: `moov` wherever it lies and the `moof` of
 * every fragment. The media itself (`mdat`) is never read here.
 *
 * mp4box parses them. It expects a file from its first byte on and passes over `mdat` alone, so every box it need not
 * see is shown to it as an `mdat` header. Source: ISO/IEC 14496-12, QuickTime File Format.
 */
import { createFile, type ISOFile, type MP4BoxBuffer } from "mp4box";
import { MediaError, OcellusError } from "../runtime/errors.js";
import { asciiAt, dataView } from "./picture-format.js";
import type { ByteSource } from "./source.js";

/** A parsed file: mp4box's view of it, and the bytes of `moov` for what mp4box does not keep as they were. */
export interface Movie {
  file: ISOFile;
  moov: { offsetBytes: number; bytes: Uint8Array };
}

interface BoxHeader {
  type: string;
  offsetBytes: number;
  sizeBytes: number;
  headerBytes: number;
}

/** First boxes of files that are MP4 or QuickTime; anything else is not, whatever its name. */
const FIRST_BOXES = new Set(["ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "styp", "sidx", "moof", "uuid"]);
/** A fragment's header is mostly smaller than this: one read brings it and the header of the box after it. */
const WINDOW_BYTES = 4096;
/** The index of a day of video is 100 MB; more is a broken size. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024;
/** 19 hours at 60 frames a second; a count in a box that needs no row a sample would otherwise only exhaust memory. */
const MAX_SAMPLES = 2 ** 22;
/** Rows of all tables together: a day of pictures with composition times, and of sound. */
const MAX_ROWS = 2 ** 24;
/** Boxes of the index, and boxes at the top: an hour of fragments of a picture each has a tenth of it. */
const MAX_BOXES = 2 ** 20;

/** Reads ahead a little, so that walking small boxes takes one request instead of one for each. */
class Window {
  #start = 0;
  #bytes: Uint8Array = new Uint8Array();

  constructor(
    readonly source: ByteSource,
    readonly signal: AbortSignal | undefined,
  ) {}

  /** `lengthBytes` from `offsetBytes`, or fewer at the end of the file. */
  async read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const left = Math.max(0, this.source.sizeBytes - offsetBytes);
    const wanted = Math.min(lengthBytes, left);
    const within = offsetBytes - this.#start;
    if (within < 0 || within + wanted > this.#bytes.length) {
      const length = Math.min(Math.max(wanted, WINDOW_BYTES), left);
      this.#bytes = await this.source.read(offsetBytes, length, this.signal);
      this.#start = offsetBytes;
    }
    return this.#bytes.subarray(offsetBytes - this.#start, offsetBytes - this.#start + wanted);
  }
}

/** The box header at the start of `bytes`; undefined where they are too few. A size of 0 means "to the end". */
function parseHeader(bytes: Uint8Array, offsetBytes: number, endBytes: number): BoxHeader | undefined {
  if (bytes.length < 8) return undefined;
  const view = dataView(bytes);
  const type = asciiAt(bytes, 4, 4);
  const size = view.getUint32(0);
  if (size === 1) {
    if (bytes.length < 16) return undefined;
    return { type, offsetBytes, sizeBytes: Number(view.getBigUint64(8)), headerBytes: 16 };
  }
  return { type, offsetBytes, sizeBytes: size === 0 ? endBytes - offsetBytes : size, headerBytes: 8 };
}

/**
 * Reads `moov` and, where the file is fragmented, every `moof`.
 * @throws MediaError for a file that is no MP4, has no index or is cut inside it; SourceError; AbortedError.
 */
export async function readMovie(source: ByteSource, label: string, signal?: AbortSignal): Promise<Movie> {
  const window = new Window(source, signal);
  const file = createFile();
  const budget = new Budget(label);
  let moov: Movie["moov"] | undefined;
  for (let at = 0; at < source.sizeBytes; ) {
    const box = parseHeader(await window.read(at, 16), at, source.sizeBytes);
    if (!box || box.sizeBytes < box.headerBytes || !Number.isSafeInteger(at + box.sizeBytes)) {
      if (moov) break; // Bytes after the last box, as some cameras leave them, take nothing from what was read.
      throw broken(
        label,
        box?.type ?? "box",
        at,
        "a size that fits its header",
        String(box?.sizeBytes ?? "a cut header"),
      );
    }
    budget.box(box.type, at);
    if (at === 0 && !FIRST_BOXES.has(box.type)) throw notMp4(label, await window.read(0, 16));
    const needed = box.type === "ftyp" || box.type === "moov" || box.type === "moof";
    const end = at + box.sizeBytes;
    if (end > source.sizeBytes && (needed || !moov)) throw cut(label, box, source.sizeBytes);
    if (needed && box.sizeBytes > MAX_INDEX_BYTES) {
      throw broken(label, box.type, at, `at most ${MAX_INDEX_BYTES} bytes`, `${box.sizeBytes} bytes`);
    }
    const duplicate = box.type === "moov" && moov !== undefined;
    if (needed && !duplicate) {
      const read = await window.read(at, box.sizeBytes);
      // mp4box takes whole buffers.
      const bytes = read.length === read.buffer.byteLength ? read : read.slice();
      prepare(bytes, box, budget);
      if (box.type === "moov") moov = { offsetBytes: at, bytes };
      feed(file, bytes, at, label, box);
      if (box.type === "moov" && !file.moov?.mvex) break;
    } else if (end < source.sizeBytes) {
      feed(file, stub(box), at, label, box);
    }
    at = end;
  }
  if (!moov || !file.moov) {
    throw new MediaError({
      where: label,
      expected: 'an MP4 with an index (box "moov")',
      got: source.sizeBytes === 0 ? "no bytes at all" : `none in its ${source.sizeBytes} bytes`,
      remedy: "the recording may not have been finished; get a complete copy",
    });
  }
  return { file, moov };
}

function feed(file: ISOFile, bytes: Uint8Array, offsetBytes: number, label: string, box: BoxHeader): void {
  const buffer = bytes.buffer as MP4BoxBuffer;
  buffer.fileStart = offsetBytes;
  try {
    file.appendBuffer(buffer);
  } catch (cause) {
    throw new MediaError({
      where: label,
      expected: `a box "${box.type}" at byte ${offsetBytes} that can be parsed`,
      got: whatBroke(cause),
      remedy: "get an undamaged copy, or rewrite the file: ffmpeg -i in.mp4 -c copy out.mp4",
      cause,
    });
  }
}

/** What an error of a parser says to a reader: boxes that are not there show as properties of undefined. */
function whatBroke(cause: unknown): string {
  if (cause instanceof TypeError || cause instanceof RangeError) return "boxes that are missing, cut or broken";
  return cause instanceof Error ? cause.message : String(cause);
}

/** The header of an `mdat` as long as the box. */
function stub({ sizeBytes, headerBytes }: BoxHeader): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  const view = dataView(bytes);
  view.setUint32(0, headerBytes === 16 ? 1 : sizeBytes);
  bytes.set([0x6d, 0x64, 0x61, 0x74], 4);
  if (headerBytes === 16) view.setBigUint64(8, BigInt(sizeBytes));
  return bytes;
}

/** What an index may take of memory and time, counted over a whole file. */
class Budget {
  #boxes = 0;
  #rows = 0;
  #samples = 0;

  constructor(readonly label: string) {}

  box(type: string, offsetBytes: number): void {
    if (++this.#boxes > MAX_BOXES) throw broken(this.label, type, offsetBytes, `at most ${MAX_BOXES} boxes`, "more");
  }

  table(type: string, rows: number, offsetBytes: number): void {
    const sizes = type === "stsz" || type === "stz2" || type === "trun";
    if (rows > MAX_SAMPLES || (sizes && this.#samples + rows > MAX_SAMPLES * 2)) {
      throw broken(this.label, type, offsetBytes, `at most ${MAX_SAMPLES} samples`, String(rows));
    }
    this.#rows += rows;
    if (sizes) this.#samples += rows;
    if (this.#rows > MAX_ROWS) {
      throw broken(this.label, type, offsetBytes, `at most ${MAX_ROWS} rows in all tables`, String(this.#rows));
    }
  }
}

const CONTAINERS = new Set(["moov", "trak", "edts", "mdia", "minf", "stbl", "mvex", "moof", "traf"]);

/** Boxes with a table, and where in their body the number of its rows stands. */
const TABLES: Readonly<Record<string, number>> = {
  ...{ stsd: 4, stts: 4, ctts: 4, stss: 4, stsc: 4, stsz: 8, stz2: 8, stco: 4, co64: 4, elst: 4, trun: 4 },
};

/** The other boxes that are looked at. */
const READ = new Set(["mvhd", "tkhd", "mdhd", "hdlr", "trex", "mehd", "mfhd", "tfhd", "tfdt"]);

/**
 * Makes a `moov` or `moof` safe to parse: boxes that are not needed become `free` (mp4box writes to the console over tag
 * names that QuickTime allows, and believes the counts in all of them), and the numbers of rows are checked.
 */
function prepare(bytes: Uint8Array, outer: BoxHeader, budget: Budget): void {
  const view = dataView(bytes);
  const walk = (start: number, end: number): void => {
    for (let at = start; at + 8 <= end; ) {
      const box = parseHeader(bytes.subarray(at, end), at, end);
      if (!box || box.sizeBytes < box.headerBytes || at + box.sizeBytes > end) return; // mp4box finds and reports it
      const { type } = box;
      const offsetBytes = outer.offsetBytes + at;
      budget.box(type, offsetBytes);
      const body = at + box.headerBytes;
      const bodyEnd = at + box.sizeBytes;
      const count = TABLES[type];
      if (CONTAINERS.has(type)) walk(body, bodyEnd);
      else if (count === undefined && !READ.has(type)) bytes.set([0x66, 0x72, 0x65, 0x65], at + 4);
      else if (count !== undefined && body + count + 4 <= bodyEnd) {
        budget.table(type, view.getUint32(body + count), offsetBytes);
      }
      at = bodyEnd;
    }
  };
  walk(0, bytes.length);
}

function broken(label: string, type: string, offsetBytes: number, expected: string, got: string): MediaError {
  return new MediaError({
    where: `${label}, box "${printable(type)}" at byte ${offsetBytes}`,
    expected,
    got,
    remedy: "get an undamaged copy",
  });
}

function cut(label: string, box: BoxHeader, sizeBytes: number): MediaError {
  return new MediaError({
    where: `${label}, box "${printable(box.type)}" at byte ${box.offsetBytes}`,
    expected: `${box.sizeBytes} bytes${box.type === "mdat" ? " of media and an index after them" : ""}`,
    got: `a file that ends after ${sizeBytes - box.offsetBytes} of them`,
    remedy: "the file is cut; get a complete copy",
  });
}

function notMp4(label: string, start: Uint8Array): MediaError {
  return new MediaError({
    where: label,
    expected: "an MP4 or QuickTime file, or an animated GIF or WebP",
    got: describeStart(start),
    remedy: "convert it to MP4: ffmpeg -i in -c:v libx264 -pix_fmt yuv420p out.mp4",
  });
}

/** What other files people try begin with, to name them in the message. */
function describeStart(bytes: Uint8Array): string {
  const start = asciiAt(bytes, 0, 16);
  if (start.startsWith("\x1a\x45\xdf\xa3")) return "a WebM or Matroska file";
  if (start.startsWith("RIFF") && start.slice(8, 12) === "AVI ") return "an AVI file";
  if (start.startsWith("OggS")) return "an Ogg file";
  if (start.startsWith("FLV")) return "a Flash video";
  if (start.startsWith("\x47") || start.startsWith("\0\0\x01\xba")) return "an MPEG stream";
  if (start.startsWith("\x89PNG") || start.startsWith("\xff\xd8\xff")) return "a still picture; give it as an image";
  if (/^[\t\n\r\x20-\x7e]+$/.test(start)) return `text beginning with ${JSON.stringify(start)}`;
  return `unknown bytes ${[...bytes.subarray(0, 8)].map((b) => b.toString(16).padStart(2, "0")).join(" ")}`;
}

function printable(type: string): string {
  return /^[\x20-\x7e]{4}$/.test(type) ? type : "????";
}

/** Rethrows a fault as it is, and anything else as a MediaError about the index. */
export function asIndexFault(cause: unknown, label: string): OcellusError {
  if (cause instanceof OcellusError) return cause;
  return new MediaError({
    where: `${label}, box "moov"`,
    expected: "complete tables of the video track",
    got: whatBroke(cause),
    remedy: "get an undamaged copy, or rewrite the file: ffmpeg -i in.mp4 -c copy out.mp4",
    cause,
  });
}
