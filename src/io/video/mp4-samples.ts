/**
 * Reads the sample table of a track (`stbl`): byte ranges, times and keyframes. Every count is checked against the size of its box or of
 * the file. Source: ISO/IEC 14496-12, sections 8.6 and 8.7.
 */
import { MediaError } from "../../base/errors.js";
import type { VideoSample } from "./clip-index.js";
import type { Box, BoxReader } from "./mp4-boxes.js";

/** The samples of one track in decode order: those of its sample table, then those of its fragments. */
export class SampleList {
  readonly samples: VideoSample[] = [];
  /** Index of the sample description that all samples use, from 1. */
  description: number | undefined;
  /** End of the last sample in decode time, in ticks of the track. */
  endTicks = 0;
  /** Number of samples so far, including empty ones. */
  #count = 0;
  #insideBytes = 0;

  constructor(
    readonly label: string,
    readonly fileBytes: number,
  ) {}

  /**
   * Appends a sample. An empty sample is skipped: the picture before it stays displayed.
   * @throws MediaError for a second sample description and for overlapping samples.
   */
  add(offsetBytes: number, sizeBytes: number, offsetTicks: number, isKeyframe: boolean, description: number): void {
    this.#count++;
    if (sizeBytes === 0) return;
    const compositionTicks = this.endTicks + offsetTicks;
    if (!Number.isSafeInteger(offsetBytes) || offsetBytes < 0 || !Number.isSafeInteger(compositionTicks)) {
      throw this.#broken("a place and a time below 2^53", `byte ${offsetBytes}, tick ${compositionTicks}`);
    }
    this.description ??= description;
    if (description !== this.description) {
      throw new MediaError({
        where: `${this.label}, sample ${this.#count}`,
        expected: "one sample description for the whole track",
        got: "a second one",
        remedy: "re-encode the clip: ffmpeg -i in.mp4 -c:v libx264 -pix_fmt yuv420p out.mp4",
      });
    }
    // Samples beyond the end of a truncated file are rejected only if they are wanted.
    if (offsetBytes + sizeBytes <= this.fileBytes) this.#insideBytes += sizeBytes;
    if (this.#insideBytes > this.fileBytes) {
      throw this.#broken("samples that lie side by side", `more bytes of them than the file's ${this.fileBytes}`);
    }
    this.samples.push({ offsetBytes, sizeBytes, compositionTicks, isKeyframe });
  }

  #broken(expected: string, got: string): MediaError {
    const where = `${this.label}, sample ${this.#count}`;
    return new MediaError({ where, expected, got, remedy: "the file's sample table is broken; get an undamaged copy" });
  }
}

/** Checks samples of constant size, which have no table entries, against the file size. Throws MediaError. */
export function checkBytes(reader: BoxReader, box: Box, count: number, sizeBytes: number, fileBytes: number): void {
  if (count === 0 || (sizeBytes > 0 && count * sizeBytes <= fileBytes)) return;
  const expected = `samples with bytes, within the ${fileBytes} bytes of the file`;
  throw reader.broken(box, expected, `${count} samples of ${sizeBytes} bytes`);
}

/** Appends the samples of `stbl` to `list`. In a fragmented file the tables may be empty or missing. */
export function readSampleTable(reader: BoxReader, stbl: Box, list: SampleList): void {
  const tables = reader.firstOf(stbl, "stsz", "stz2", "stco", "co64", "stsc", "stts", "ctts", "stss");
  const sizes = tables.stsz ? sizesOf(reader, tables.stsz, list.fileBytes) : compactSizesOf(reader, tables.stz2);
  if (sizes.count === 0) return;
  const sizeBox = (tables.stsz ?? tables.stz2)!;
  reader.budget.take(sizes.count, sizeBox);
  const missing = (type: string): MediaError =>
    reader.broken(stbl, `a row of "${type}" for each of ${sizes.count} samples`, "fewer");
  const { stts, stsc } = tables;
  const chunks = chunksOf(reader, tables.stco, tables.co64);
  if (!stts) throw missing("stts");
  if (!stsc) throw missing("stsc");
  const durations = runsOf(reader, stts);
  const offsets = tables.ctts && runsOf(reader, tables.ctts);
  const keys = tables.stss && keysOf(reader, tables.stss, sizes.count);
  const runs = reader.rows(stsc, 4, 12);
  const runAt = (row: number, field: number): number => reader.view.getUint32(stsc.start + 8 + row * 12 + field * 4);

  let run = -1;
  let chunk = 0;
  let leftInChunk = 0;
  let at = 0;
  for (let i = 0; i < sizes.count; i++) {
    while (leftInChunk === 0) {
      if (++chunk > chunks.count) throw missing(tables.stco ? "stco" : "co64");
      while (run + 1 < runs && runAt(run + 1, 0) <= chunk) run++;
      if (run < 0) throw missing("stsc");
      leftInChunk = runAt(run, 1);
      at = chunks.at(chunk - 1);
    }
    leftInChunk--;
    const offset = offsets ? offsets.next() : 0;
    if (offset === undefined) throw missing("ctts");
    const size = sizes.at(i);
    list.add(at, size, offset, keys ? keys[i] === 1 : true, runAt(run, 2));
    at += size;
    const duration = durations.next();
    if (duration !== undefined) {
      // As in libavformat, a negative duration counts as 1.
      list.endTicks += duration < 0 ? 1 : duration;
    } else if (i + 1 < sizes.count) {
      throw missing("stts");
    }
  }
}

/** A table with one value per sample or per chunk. */
interface Column {
  count: number;
  at(row: number): number;
}

function sizesOf(reader: BoxReader, stsz: Box, fileBytes: number): Column {
  const { view } = reader;
  const start = reader.need(stsz, 12);
  const size = view.getUint32(start + 4);
  if (size === 0) return { count: reader.rows(stsz, 8, 4), at: (row) => view.getUint32(start + 12 + row * 4) };
  const count = view.getUint32(start + 8);
  checkBytes(reader, stsz, count, size, fileBytes);
  return { count, at: () => size };
}

function compactSizesOf(reader: BoxReader, stz2: Box | undefined): Column {
  if (!stz2) return { count: 0, at: () => 0 };
  const { view, bytes } = reader;
  const start = reader.need(stz2, 12) + 12;
  const bits = bytes[start - 5]!;
  if (bits !== 4 && bits !== 8 && bits !== 16) throw reader.broken(stz2, "sizes of 4, 8 or 16 bits", `${bits} bits`);
  const count = reader.rows(stz2, 8, bits / 8);
  if (bits === 16) return { count, at: (row) => view.getUint16(start + row * 2) };
  if (bits === 8) return { count, at: (row) => bytes[start + row]! };
  return { count, at: (row) => (bytes[start + (row >> 1)]! >> (row % 2 === 0 ? 4 : 0)) & 15 };
}

function chunksOf(reader: BoxReader, stco: Box | undefined, co64: Box | undefined): Column {
  const { view } = reader;
  if (stco) return { count: reader.rows(stco, 4, 4), at: (row) => view.getUint32(stco.start + 8 + row * 4) };
  if (!co64) return { count: 0, at: () => 0 };
  return { count: reader.rows(co64, 4, 8), at: (row) => Number(view.getBigUint64(co64.start + 8 + row * 8)) };
}

/**
 * Iterates a run-length table of (count, value), one value per sample; undefined at its end. Values are read as signed, since `ctts` of
 * version 0 has negative ones in existing files.
 */
function runsOf(reader: BoxReader, box: Box): { next(): number | undefined } {
  const { view } = reader;
  const count = reader.rows(box, 4, 8);
  let row = -1;
  let left = 0;
  return {
    next() {
      while (left === 0) {
        if (++row >= count) return undefined;
        left = view.getUint32(box.start + 8 + row * 8);
      }
      left--;
      return view.getInt32(box.start + 12 + row * 8);
    },
  };
}

function keysOf(reader: BoxReader, stss: Box, samples: number): Uint8Array {
  const keys = new Uint8Array(samples);
  const count = reader.rows(stss, 4, 4);
  for (let row = 0; row < count; row++) {
    const number = reader.view.getUint32(stss.start + 8 + row * 4);
    if (number >= 1 && number <= samples) keys[number - 1] = 1;
  }
  return keys;
}
