/**
 * Walks over the elements of a WebM or Matroska file: parses `Info` and `Tracks`, and the header of every block of one video track.
 * Source: RFC 9559.
 */
import { MediaError } from "../../base/errors.js";
import type { ByteSource } from "../bytes/source.js";
import { chooseTrack } from "./clip-index.js";
import {
  asciiOf,
  type Element,
  type ElementBudget,
  elementsIn,
  MAX_HEADER_BYTES,
  parseVint,
  uintOf,
  Window,
} from "./ebml.js";
import { BlockTable } from "./matroska-blocks.js";
import { type MatroskaTrack, readTracks } from "./matroska-track.js";

/** Element ids (RFC 9559, section 5.1). */
const ID = {
  ebml: 0x1a45dfa3,
  docType: 0x4282,
  segment: 0x18538067,
  info: 0x1549a966,
  timestampScale: 0x2ad7b1,
  tracks: 0x1654ae6b,
  cluster: 0x1f43b675,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
  blockGroup: 0xa0,
  block: 0xa1,
  referenceBlock: 0xfb,
  encryptedBlock: 0xaf,
} as const;

/**
 * Elements that are skipped: seek heads, cues, chapters, tags, attachments, padding, and metadata of clusters.
 */
const PASSED = new Set([0x114d9b74, 0x1c53bb6b, 0x1043a770, 0x1254c367, 0x1941a469, 0xec, 0xbf, 0xa7, 0xab, 0x5854]);
const ENTERED = new Set<number>([ID.segment, ID.cluster]);
const READ = new Set<number>([
  ID.ebml,
  ID.info,
  ID.tracks,
  ID.timestamp,
  ID.simpleBlock,
  ID.blockGroup,
  ID.encryptedBlock,
]);

/** Maximum size of `Info` and `Tracks`; real files have some kilobytes, mostly codec headers and names. */
const MAX_HEAD_BYTES = 4 * 1024 * 1024;
/** Maximum number of elements in `Info` and `Tracks`; real files have about ten per track. */
const MAX_HEAD_ELEMENTS = 2 ** 16;
/** Maximum number of elements of a file; a day of video and audio has half as many. */
const MAX_ELEMENTS = 2 ** 24;
/** Maximum length of a block header: a track number of up to 8 bytes, timestamp and flags. */
const MAX_BLOCK_HEAD_BYTES = 11;

/** Remedy for a broken file. */
export const UNDAMAGED = "get an undamaged copy, or rewrite the file: ffmpeg -i in.mkv -c copy out.mkv";

/** Walks over the elements of a file. */
export class Walk {
  readonly signal: AbortSignal | undefined;
  readonly blocks: BlockTable;
  track: MatroskaTrack | undefined;
  /** Nanoseconds per tick. */
  timestampScale = 1_000_000;
  /** Whether blocks precede `Tracks`, so that a second walk is needed. */
  passedBlocks = false;
  /** Declared end of the segment, if the file is truncated. */
  wholeBytes: number | undefined;

  readonly #window: Window;
  readonly #wanted: number | undefined;
  #segmentEnd = Number.POSITIVE_INFINITY;
  #clusterEnd = Number.POSITIVE_INFINITY;
  #clusterTicks = 0;
  #elements = 0;
  readonly #budget: ElementBudget = { left: MAX_HEAD_ELEMENTS };
  #hasInfo = false;

  constructor(
    readonly source: ByteSource,
    readonly label: string,
    { signal, track }: { signal?: AbortSignal | undefined; track?: number | undefined },
  ) {
    this.signal = signal;
    this.#wanted = track;
    this.#window = new Window(source, signal);
    this.blocks = new BlockTable(source.sizeBytes, label);
  }

  async run(): Promise<void> {
    const { sizeBytes } = this.source;
    this.passedBlocks = false;
    for (let at = 0; at < sizeBytes; ) {
      if (!this.#window.holds(at, MAX_HEADER_BYTES)) await this.#window.move(at);
      const element = this.#window.element(at);
      if (!element || !(ENTERED.has(element.id) || READ.has(element.id) || PASSED.has(element.id))) {
        const next = await this.#afterUnknown(at, element);
        if (next === undefined) break;
        at = next;
        continue;
      }
      this.#count(at);
      if (PASSED.has(element.id) && element.endBytes <= sizeBytes) {
        at = element.endBytes;
        continue;
      }
      const next = this.#entered(element) ?? (await this.#read(element));
      if (next === undefined) break;
      at = next;
    }
    if (Number.isFinite(this.#segmentEnd) && this.#segmentEnd > sizeBytes) this.wholeBytes = this.#segmentEnd;
  }

  /** Enters a segment or cluster: returns the offset of its first child; undefined for other elements. */
  #entered({ id, offsetBytes, dataBytes, endBytes }: Element): number | undefined {
    if (id === ID.segment) {
      if (offsetBytes > 0 && this.blocks.length > 0) this.blocks.beginRecording();
      this.#segmentEnd = endBytes;
    } else if (id === ID.cluster) {
      this.#clusterEnd = endBytes;
      this.#clusterTicks = 0;
    } else {
      return undefined;
    }
    return dataBytes;
  }

  /** Reads an element and returns the offset of the next; undefined if the file ends inside it. */
  async #read({ id, offsetBytes, dataBytes, endBytes }: Element): Promise<number | undefined> {
    const { sizeBytes } = this.source;
    if (!Number.isFinite(endBytes)) throw this.#broken(offsetBytes, "an element of known size", "one without");
    if (endBytes > sizeBytes) {
      const isHead = id === ID.ebml || id === ID.info || id === ID.tracks;
      if (isHead && this.blocks.length === 0) throw this.#cut(offsetBytes, endBytes);
      // The file is truncated (known segment size) or the recorder was stopped (unknown size): ignore the last element.
      return undefined;
    }
    const isOfCluster = id === ID.simpleBlock || id === ID.blockGroup || id === ID.timestamp;
    if (isOfCluster && offsetBytes < this.#clusterEnd && endBytes > this.#clusterEnd) {
      throw this.#broken(offsetBytes, "an element that ends inside its cluster", `${endBytes - dataBytes} bytes`);
    }
    if (id === ID.simpleBlock) await this.#block(dataBytes, endBytes, undefined);
    else if (id === ID.blockGroup) await this.#group(dataBytes, endBytes);
    else if (id === ID.encryptedBlock)
      throw this.#broken(offsetBytes, "blocks that are not encrypted", "encrypted ones");
    else {
      const most = id === ID.timestamp ? 8 : MAX_HEAD_BYTES;
      const length = endBytes - dataBytes;
      if (length > most) throw this.#broken(offsetBytes, `an element of at most ${most} bytes`, `${length} bytes`);
      if (!this.#window.holds(dataBytes, length)) await this.#window.move(dataBytes);
      // The element may exceed the window.
      const inWindow = this.#window.holds(dataBytes, length);
      const data = inWindow
        ? this.#window.bytes(dataBytes, length)
        : await this.source.read(dataBytes, length, this.signal);
      this.#head(id, data, offsetBytes);
    }
    return endBytes;
  }

  #head(id: number, data: Uint8Array, offsetBytes: number): void {
    if (id === ID.timestamp) this.#clusterTicks = uintOf(data);
    else if (id === ID.tracks) this.#describe(readTracks(data, this.#budget), offsetBytes);
    else if (id === ID.info) {
      for (const part of elementsIn(data, this.#budget)) {
        if (part.id !== ID.timestampScale) continue;
        const scale = uintOf(part.data);
        if (!(scale > 0)) throw this.#broken(offsetBytes, "ticks of more than 0 ns", `${scale} ns`);
        if (this.#hasInfo && scale !== this.timestampScale) throw this.#other(offsetBytes, "other ticks");
        this.timestampScale = scale;
      }
      this.#hasInfo = true;
    } else if (id === ID.ebml) {
      for (const part of elementsIn(data, this.#budget)) {
        const type = part.id === ID.docType ? asciiOf(part.data) : "webm";
        if (type === "webm" || type === "matroska") continue;
        throw new MediaError({
          where: this.label,
          expected: 'an EBML document of type "webm" or "matroska"',
          got: JSON.stringify(type),
          remedy: "convert it to MP4: ffmpeg -i in -c:v libx264 -pix_fmt yuv420p out.mp4",
        });
      }
    }
  }

  /** Chooses the track; for an appended recording, checks that it has the same one. */
  #describe(tracks: MatroskaTrack[], offsetBytes: number): void {
    const videos = tracks.filter(({ kind }) => kind === "video");
    if (videos.length === 0) {
      const kinds = tracks.map(({ kind }) => kind).join(", ");
      throw new MediaError({
        where: this.label,
        expected: "a video track",
        got: kinds ? `tracks of other kinds (${kinds})` : "no track at all",
        remedy: "give a file with a video track",
      });
    }
    const track = videos[chooseTrack(videos, this.#wanted, this.label, ({ text }) => text)]!;
    const { packing } = track;
    if (packing) {
      throw new MediaError({
        where: `${this.label}, the video track's blocks`,
        expected: "frames that the container neither encrypts nor compresses",
        got: packing,
        remedy: "rewrite the file: ffmpeg -i in.mkv -c copy out.mkv",
      });
    }
    if (this.track && this.blocks.length > 0) {
      const same = (a: Uint8Array, b: Uint8Array): boolean =>
        a.length === b.length && a.every((byte, i) => byte === b[i]);
      const { codecId, codecPrivate, prefix, number } = this.track;
      const isSame = codecId === track.codecId && same(codecPrivate, track.codecPrivate) && same(prefix, track.prefix);
      if (!isSame || number !== track.number) throw this.#other(offsetBytes, track.text);
    } else {
      this.track = track;
    }
  }

  async #group(start: number, end: number): Promise<void> {
    let block: Element | undefined;
    let isKeyframe = true;
    for (let at = start; at < end; ) {
      if (!this.#window.holds(at, MAX_HEADER_BYTES)) await this.#window.move(at);
      const element = this.#window.element(at);
      this.#count(at);
      if (!element || element.endBytes > end)
        throw this.#broken(at, "an element that ends inside its group", "another");
      if (element.id === ID.block) block = element;
      else if (element.id === ID.referenceBlock) isKeyframe = false;
      at = element.endBytes;
    }
    if (block) await this.#block(block.dataBytes, block.endBytes, isKeyframe);
  }

  /** Records a block of the video track. `isKeyframe`: given by its block group; undefined for a SimpleBlock, which has a flag. */
  async #block(start: number, end: number, isKeyframe: boolean | undefined): Promise<void> {
    if (!this.#window.holds(start, MAX_BLOCK_HEAD_BYTES + 1)) await this.#window.move(start);
    const head = this.#window.bytes(start, Math.min(MAX_BLOCK_HEAD_BYTES + 1, end - start));
    const number = parseVint(head, 0);
    const headBytes = (number?.lengthBytes ?? 0) + 3;
    if (!number || headBytes > head.length) throw this.#broken(start, "a block's head", `${head.length} bytes`);
    if (!this.track) {
      this.passedBlocks = true;
      return;
    }
    if (number.value !== this.track.number) return;
    const sizeBytes = end - start - headBytes;
    const flags = head[headBytes - 1]!;
    const relative = (((head[headBytes - 3]! << 8) | head[headBytes - 2]!) << 16) >> 16;
    if (flags & 0x06) {
      throw new MediaError({
        where: `${this.label}, block at byte ${start}`,
        expected: "one frame in a block",
        got: "several (lacing)",
        remedy: "rewrite the file: ffmpeg -i in.mkv -c copy out.mkv",
      });
    }
    // Some muxers write an empty block for a dropped frame.
    if (sizeBytes === 0) return;
    const place = { offsetBytes: start + headBytes, sizeBytes, ticks: this.#clusterTicks + relative };
    const { codecId, prefix } = this.track;
    const isKey = isKeyframe ?? (flags & 0x80) !== 0;
    const first = frameHead(codecId, prefix[0] ?? head[headBytes]!);
    const isHidden = first !== undefined && !first.isShown && !(codecId === "V_VP9" && (await this.#isSuperframe(end)));
    this.blocks.add(place, isKey && (first?.isKey ?? true), isHidden);
  }

  /** Whether a VP9 block is a superframe: a hidden frame joined with a visible one. */
  async #isSuperframe(end: number): Promise<boolean> {
    // VP9 bitstream, annex B: the last byte marks a superframe.
    if (!this.#window.holds(end - 1, 1)) await this.#window.move(end - 1);
    return (this.#window.bytes(end - 1, 1)[0]! & 0xe0) === 0xc0;
  }

  /** Handles bytes that are not a known element: returns the offset to continue at; undefined if the clip ends here. */
  async #afterUnknown(at: number, element: Element | undefined): Promise<number | undefined> {
    const { sizeBytes } = this.source;
    this.#count(at);
    if (at >= this.#segmentEnd) return undefined; // Trailing bytes after a complete segment are ignored.
    if (element && element.endBytes <= Math.min(sizeBytes, this.#segmentEnd)) return element.endBytes;
    if (!element && sizeBytes - at < MAX_HEADER_BYTES && this.blocks.length > 0) return undefined;
    if (!Number.isFinite(this.#segmentEnd) && this.blocks.length > 0 && (await this.#isZeroFrom(at))) return undefined;
    throw this.#broken(at, "an element of Matroska", element ? `0x${element.id.toString(16)}` : "other bytes");
  }

  /** Whether only zeros follow: preallocated space that a crashed recorder did not write. */
  async #isZeroFrom(at: number): Promise<boolean> {
    const step = 64 * 1024;
    for (let from = at; from < this.source.sizeBytes; from += step) {
      if (!this.#window.holds(from, step)) await this.#window.move(from);
      if (this.#window.bytes(from, step).some((byte) => byte !== 0)) return false;
    }
    return true;
  }

  #count(at: number): void {
    if (++this.#elements > MAX_ELEMENTS) throw this.#broken(at, `at most ${MAX_ELEMENTS} elements`, "more");
  }

  #broken(at: number, expected: string, got: string): MediaError {
    return new MediaError({ where: `${this.label}, byte ${at}`, expected, got, remedy: UNDAMAGED });
  }

  #cut(at: number, endBytes: number): MediaError {
    return new MediaError({
      where: `${this.label}, byte ${at}`,
      expected: `an element that ends at byte ${endBytes}`,
      got: `a file that ends at ${this.source.sizeBytes}`,
      remedy: "the file is cut; get a complete copy",
    });
  }

  #other(at: number, got: string): MediaError {
    return new MediaError({
      where: `${this.label}, byte ${at}, where another recording begins`,
      expected: `one like the first (${this.track?.text ?? "no track"}, ticks of ${this.timestampScale} ns)`,
      got,
      remedy: "give the recordings one by one, or join them: ffmpeg -f concat -i list.txt -c:v libx264 out.mp4",
    });
  }
}

/** Parses the first byte of a VP8 or VP9 frame; undefined for other codecs. */
function frameHead(codecId: string, first: number): { isKey: boolean; isShown: boolean } | undefined {
  // RFC 6386, section 9.1.
  if (codecId === "V_VP8") return { isKey: (first & 0x01) === 0, isShown: (first & 0x10) !== 0 };
  if (codecId !== "V_VP9") return undefined;
  // VP9 bitstream, section 6.2: frame marker, profile (a bit more in profile 3), show_existing_frame, frame_type, show_frame.
  const bits = (first & 0x30) === 0x30 ? first << 1 : first;
  const isExisting = (bits & 0x08) !== 0;
  return { isKey: !isExisting && (bits & 0x04) === 0, isShown: isExisting || (bits & 0x02) !== 0 };
}
