/**
 * Reads the samples of movie fragments (`moof`). The fragments of all tracks are parsed, since the data offset of one may depend on the
 * end of the previous one. Source: ISO/IEC 14496-12, section 8.8.
 */
import type { Box, BoxReader } from "./mp4-boxes.js";
import { checkBytes, type SampleList } from "./mp4-samples.js";

/** Default values of samples, which a run may override. */
interface Defaults {
  description: number;
  durationTicks: number;
  sizeBytes: number;
  flags: number;
}

const NO_DEFAULTS: Defaults = { description: 1, durationTicks: 0, sizeBytes: 0, flags: 0 };

/** Defaults by track id. */
export type TrackDefaults = ReadonlyMap<number, Defaults>;

/** Reads the defaults of all tracks (`trex`) in `mvex`. */
export function readTrackDefaults(reader: BoxReader, mvex: Box): TrackDefaults {
  const defaults = new Map<number, Defaults>();
  for (const box of reader.children(mvex)) {
    if (box.type !== "trex") continue;
    const start = reader.need(box, 24);
    const field = (number: number): number => reader.view.getUint32(start + 4 + number * 4);
    if (defaults.has(field(0))) continue;
    reader.budget.take(1, box);
    const [description, durationTicks, sizeBytes, flags] = [field(1), field(2), field(3), field(4)];
    defaults.set(field(0), { description, durationTicks, sizeBytes, flags });
  }
  return defaults;
}

// Flags of `tfhd` (ISO/IEC 14496-12, section 8.8.7).
const BASE_OFFSET = 0x01;
const DESCRIPTION = 0x02;
const DEFAULT_DURATION = 0x08;
const DEFAULT_SIZE = 0x10;
const DEFAULT_FLAGS = 0x20;
const BASE_IS_MOOF = 0x20000;

/** Appends the samples of a track in a `moof` to `list`. */
export function readFragment(reader: BoxReader, track: number, defaults: TrackDefaults, list: SampleList): void {
  const moof = reader.outer;
  let previousEnd = moof.offsetBytes;
  for (const traf of reader.children(moof)) {
    if (traf.type !== "traf") continue;
    const { tfhd, tfdt } = reader.firstOf(traf, "tfhd", "tfdt");
    if (!tfhd) throw reader.broken(traf, 'a box "tfhd"', "none");
    const { id, base, fallback } = headerOf(reader, tfhd, defaults);
    const ours = id === track;
    if (ours && tfdt) list.endTicks = decodeTime(reader, tfdt);
    let end = base ?? (reader.flags(tfhd) & BASE_IS_MOOF ? moof.offsetBytes : previousEnd);
    const from = end;
    for (const trun of reader.children(traf)) {
      if (trun.type === "trun") end = readRun(reader, trun, from, end, fallback, ours ? list : undefined);
    }
    previousEnd = end;
  }
}

function headerOf(
  reader: BoxReader,
  tfhd: Box,
  defaults: TrackDefaults,
): { id: number; base: number | undefined; fallback: Defaults } {
  const { view } = reader;
  const flags = reader.flags(tfhd);
  const id = view.getUint32(reader.need(tfhd, 8) + 4);
  const fallback = { ...(defaults.get(id) ?? NO_DEFAULTS) };
  let read = 8;
  const next = (bytes: number): number => {
    read += bytes;
    return reader.need(tfhd, read) + read - bytes;
  };
  const base = flags & BASE_OFFSET ? reader.uint64(tfhd, next(8)) : undefined;
  if (flags & DESCRIPTION) fallback.description = view.getUint32(next(4));
  if (flags & DEFAULT_DURATION) fallback.durationTicks = view.getUint32(next(4));
  if (flags & DEFAULT_SIZE) fallback.sizeBytes = view.getUint32(next(4));
  if (flags & DEFAULT_FLAGS) fallback.flags = view.getUint32(next(4));
  return { id, base, fallback };
}

function decodeTime(reader: BoxReader, tfdt: Box): number {
  const long = reader.version(tfdt) === 1;
  const at = reader.need(tfdt, long ? 12 : 8) + 4;
  return long ? reader.uint64(tfdt, at) : reader.view.getUint32(at);
}

// Flags of `trun` (section 8.8.8). For each of the last four, every sample has a field, in this order.
const DATA_OFFSET = 0x01;
const FIRST_FLAGS = 0x04;
const DURATION = 0x100;
const SIZE = 0x200;
const FLAGS = 0x400;
const COMPOSITION = 0x800;

const NOT_A_KEYFRAME = 0x10000;

/** Appends the samples of a run to `list`, if given. Returns the file offset of the end of the run's data. */
function readRun(
  reader: BoxReader,
  trun: Box,
  base: number,
  previousEnd: number,
  fallback: Defaults,
  list: SampleList | undefined,
): number {
  const { view } = reader;
  const flags = reader.flags(trun);
  const firstFlagsAt = flags & DATA_OFFSET ? 12 : 8;
  const rowsAt = firstFlagsAt + (flags & FIRST_FLAGS ? 4 : 0);
  const start = reader.need(trun, rowsAt);
  const fields = [DURATION, SIZE, FLAGS, COMPOSITION].filter((field) => flags & field);
  const rowBytes = fields.length * 4;
  const count = view.getUint32(start + 4);
  const room = trun.end - start - rowsAt;
  if (count * rowBytes > room) throw reader.broken(trun, `${count} rows of ${rowBytes} bytes`, `${room} bytes`);
  let at = flags & DATA_OFFSET ? base + view.getInt32(start + 8) : previousEnd;
  if (list && !(flags & SIZE)) checkBytes(reader, trun, count, fallback.sizeBytes, list.fileBytes);
  if (!list && !(flags & SIZE)) return at + count * fallback.sizeBytes;
  if (list) reader.budget.take(count, trun);

  const place = (field: number): number => fields.indexOf(field) * 4;
  const [durationAt, sizeAt, flagsAt, compositionAt] = [DURATION, SIZE, FLAGS, COMPOSITION].map(place) as [
    number,
    number,
    number,
    number,
  ];
  for (let i = 0; i < count; i++) {
    const row = start + rowsAt + i * rowBytes;
    const size = flags & SIZE ? view.getUint32(row + sizeAt) : fallback.sizeBytes;
    if (list) {
      let sampleFlags = fallback.flags;
      if (flags & FLAGS) sampleFlags = view.getUint32(row + flagsAt);
      else if (i === 0 && flags & FIRST_FLAGS) sampleFlags = view.getUint32(start + firstFlagsAt);
      // Read as signed in version 0 too, since existing files have negative offsets.
      const offsetTicks = flags & COMPOSITION ? view.getInt32(row + compositionAt) : 0;
      list.add(at, size, offsetTicks, (sampleFlags & NOT_A_KEYFRAME) === 0, fallback.description);
      list.endTicks += flags & DURATION ? view.getUint32(row + durationAt) : fallback.durationTicks;
    }
    at += size;
  }
  return at;
}
