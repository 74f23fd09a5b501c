import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFixture } from "../../support/fixture.js";
import { ascii, avc1, box, concat, fullBox, u16, u32, visualEntry } from "../../support/mp4.js";
import { random } from "../../support/random.js";

// Files made to exhaust whoever reads them: each in a process of its own, whose memory is measured.

const ROOT = new URL("../../../", import.meta.url).pathname;
const FIXTURE = join(ROOT, "test/data/media/videos/h264_faststart.mp4");
const MEGABYTE = 2 ** 20;
/** What reading an index may take beside the file, on a slow machine that does other things too. */
const PATIENCE_MS = 30_000;

interface Result {
  name: string;
  fileBytes: number;
  samples?: number;
  frames?: number;
  code?: string;
  message?: string;
  milliseconds: number;
  peakBytes: number;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-clips-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Reads the indexes of clips in another process, which must end by itself and say nothing but what they hold. */
async function readAll(clips: readonly Uint8Array[]): Promise<Result[]> {
  const paths = clips.map((_, i) => join(folder, `${i}.mp4`));
  for (const [i, path] of paths.entries()) await writeFile(path, clips[i]!);
  const script = join(ROOT, "test/support/index-clips.mjs");
  // One that does not end must not be left behind.
  const options = { maxBuffer: 64 * MEGABYTE, timeout: 100_000, killSignal: "SIGKILL" } as const;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, FIXTURE, ...paths], options);
  expect(stderr).toBe("");
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Result);
}

const FTYP = box("ftyp", ascii("isom"), u32(0), ascii("isom"));
const AVCC = [1, 0x64, 0, 0x0b, 0xff, 0xe0, 0];
const ENTRY = avc1(16, 16, Uint8Array.from(AVCC));
const zeros = (count: number): Uint8Array => new Uint8Array(count);

function repeated(count: number, bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(count * bytes.length);
  for (let i = 0; i < count; i++) all.set(bytes, i * bytes.length);
  return all;
}

const rows = (type: string, count: number, row: readonly number[]): Uint8Array =>
  fullBox(type, 0, 0, u32(count), repeated(count, Uint8Array.from(row)));

/** A track of `samples` of a byte each in one chunk, by tables of one row. */
function trak(samples: number, more: { entry?: Uint8Array; edts?: Uint8Array; handler?: string } = {}): Uint8Array {
  const stbl = box(
    "stbl",
    fullBox("stsd", 0, 0, u32(1), more.entry ?? ENTRY),
    rows("stts", 1, [...u32(samples), ...u32(1)]),
    rows("stsc", 1, [...u32(1), ...u32(samples), ...u32(1)]),
    rows("stco", 1, u32(0)),
    fullBox("stsz", 0, 0, u32(samples ? 1 : 0), u32(samples)),
  );
  const mdia = box(
    "mdia",
    fullBox("mdhd", 0, 0, zeros(8), u32(100), zeros(8)),
    fullBox("hdlr", 0, 0, zeros(4), ascii(more.handler ?? "vide"), zeros(13)),
    box("minf", stbl),
  );
  return box("trak", fullBox("tkhd", 0, 3, zeros(8), u32(1), zeros(68)), more.edts ?? zeros(0), mdia);
}

const mvhd = fullBox("mvhd", 0, 0, zeros(8), u32(1000), zeros(84));
const file = (...parts: Uint8Array[]): Uint8Array => concat(FTYP, box("moov", mvhd, ...parts));
const elst = (count: number, ...row: number[]): Uint8Array => box("edts", rows("elst", count, row));
const trex = fullBox("trex", 0, 0, u32(1), u32(1), u32(1), u32(1), u32(0));
const run = fullBox("trun", 0, 0, u32(1));
const emptyNals = concat([0x20], u16(32_000), zeros(64_000));

const CRAFTED: Record<string, [clip: () => Uint8Array, wanted: number | RegExp]> = {
  "as many samples as a small file may have": [() => concat(file(trak(160_000)), zeros(165_000)), 160_000],
  "more samples than that": [
    () => concat(file(trak(300_000)), zeros(300_000)),
    /"stsz".*entries in the index of a file of/,
  ],
  "samples without bytes behind them": [() => file(trak(2 ** 22)), /"stsz".*samples with bytes/],
  "millions of rows": [
    () => {
      const stsz = fullBox("stsz", 0, 0, u32(0), u32(5e6), repeated(5e6, Uint8Array.from(u32(1))));
      return file(replaceTable(trak(2), "stsz", stsz));
    },
    /"stsz".*entries in the index/,
  ],
  "edits that show a track again and again": [
    () => concat(file(trak(10_000, { edts: elst(100, ...u32(0), ...u32(0), ...u32(65536)) })), zeros(10_000)),
    /more than \d+ pictures by the edit list/,
  ],
  "edits without number": [
    () => file(trak(2, { edts: elst(500_000, ...u32(10), ...u32(0xffffffff), ...u32(65536)) })),
    /"elst".*entries in the index/,
  ],
  "tracks without number": [() => file(repeated(20_000, trak(0, { handler: "\x1b[1m" }))), /kinds \(\\x1b\[1m\)/],
  "empty tracks without number": [() => file(repeated(2 ** 20, box("trak"))), /at most 1048576 boxes/],
  "boxes in a sample entry": [
    () => concat(file(trak(3, { entry: avc1(16, 16, Uint8Array.from(AVCC), repeated(500_000, box("stsz"))) }))),
    3,
  ],
  "parameter sets without number": [
    () => file(trak(3, { entry: visualEntry("hvc1", 16, 16, box("hvcC", zeros(22), [1], emptyNals)) })),
    3,
  ],
  "a configuration of megabytes": [
    () => file(trak(3, { entry: visualEntry("hvc1", 16, 16, box("hvcC", zeros(22), [255], repeated(99, emptyNals))) })),
    /"hvcC".*at most 65536 bytes/,
  ],
  "runs without number": [
    () =>
      concat(
        file(trak(0), box("mvex", trex)),
        box("moof", box("traf", fullBox("tfhd", 0, 0x20000, u32(1)), repeated(500_000, run))),
      ),
    /"trun".*entries in the index/,
  ],
  "boxes at the top": [() => concat(file(trak(3)), repeated(500_000, box("moov"))), 3],
};

/** A track with another table of that type. */
function replaceTable(track: Uint8Array, type: string, table: Uint8Array): Uint8Array {
  const renamed = track.slice();
  renamed.set(ascii("free"), placeOf(renamed, type));
  // The new one goes first into `stbl`, and every box around it grows.
  const stbl = placeOf(renamed, "stbl") + 4;
  for (const around of ["trak", "mdia", "minf", "stbl"]) {
    const at = placeOf(renamed, around) - 4;
    renamed.set(u32(new DataView(renamed.buffer).getUint32(at) + table.length), at);
  }
  return concat(renamed.subarray(0, stbl), table, renamed.subarray(stbl));
}

/** Where the type of the first box of that type stands. */
function placeOf(bytes: Uint8Array, type: string): number {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(type, 0, "latin1");
  if (at < 0) throw new Error(`no ${type}`);
  return at;
}

describe("memory stays within 4 times the file and 64 MB", () => {
  it.each(Object.entries(CRAFTED))("%s", async (_, [clip, wanted]) => {
    const [result] = await readAll([clip()]);
    const { fileBytes, peakBytes, milliseconds } = result!;
    if (typeof wanted === "number") expect(result).toMatchObject({ samples: wanted, frames: wanted });
    else expect(result).toMatchObject({ code: "MEDIA", message: expect.stringMatching(wanted) });
    expect(peakBytes).toBeLessThan(4 * fileBytes + 64 * MEGABYTE);
    expect(milliseconds).toBeLessThan(PATIENCE_MS);
  });
});

/** Boxes that parsers of MP4 know, most of them with a count. */
const KNOWN = (
  "stsz stz2 stts ctts stsc stco co64 stss stsd stsh stdp padb sdtp subs saiz saio sbgp sgpd senc cslg elst edts trun tfhd trex " +
  "tfdt sidx ssix mfra tfra mfro meta iloc iinf infe iref ipma ipco iprp pitm idat grpl udta ilst keys uuid avcC hvcC vpcC av1C " +
  "esds colr dref dinf tref pssh emsg tenc schm schi sinf leva trep mvex moof traf trak mdia minf stbl moov hdlr strk kind prft"
).split(" ");

/** Those of them that the index is read from: a broken one may be why a file is refused. */
const READ =
  "stsz stz2 stts ctts stsc stco co64 stss stsd elst edts trun tfhd trex tfdt avcC mvex traf trak mdia minf stbl moov moof hdlr".split(
    " ",
  );

it("unknown boxes are skipped, regardless of their contents and position", async () => {
  const counts = concat(...[0, 1, ...Array<number>(20).fill(0xffffffff)].map((value) => u32(value)));
  const clips: Uint8Array[] = [];
  const names: string[] = [];
  for (const type of KNOWN) {
    for (const body of [counts, zeros(0), zeros(40)]) {
      const evil = box(type, body);
      const entry = avc1(16, 16, Uint8Array.from(AVCC), evil);
      const table = concat(fullBox("stsz", 0, 0, u32(1), u32(3)), evil);
      const atTop = READ.includes(type) ? zeros(0) : evil;
      const whole = file(evil, replaceTable(trak(3, { entry }), "stsz", table), evil).subarray(FTYP.length);
      clips.push(concat(FTYP, atTop, whole, evil));
      const fragment = box("moof", evil, box("traf", evil, fullBox("tfhd", 0, 0, u32(1)), evil), evil);
      clips.push(concat(file(trak(3), box("mvex", evil, trex)), fragment));
      names.push(type, type);
    }
  }
  const results = (await readAll(clips)).map((result, i) => ({ ...result, type: names[i]! }));
  const right = ({ samples, frames }: Result): boolean => samples === 3 && frames === 3;
  expect(results.filter((result) => !READ.includes(result.type) && !right(result))).toEqual([]);
  // A run more is a sample more.
  expect(results.filter(({ code, samples = 0 }) => code !== "MEDIA" && samples < 3)).toEqual([]);
});

/** The fixture with a few faults: bytes and counts changed, bytes cut out, doubled, or the end missing. */
function damaged(bytes: Uint8Array, indexAt: number, indexEnd: number, next: () => number): Uint8Array {
  const below = (count: number): number => Math.floor(next() * count);
  let result = bytes.slice();
  for (let faults = 1 + below(4); faults > 0; faults--) {
    const at = indexAt + below(Math.min(indexEnd, result.length) - indexAt);
    switch (below(6)) {
      case 0:
        result[at] = below(256);
        break;
      case 1:
        result[at] = result[at]! ^ (1 << below(8));
        break;
      case 2:
        result.set(
          u32([0, 1, 0x7fffffff, 0xffffffff, 2 ** 22, below(2 ** 16)][below(6)]!),
          Math.min(at, result.length - 4),
        );
        break;
      case 3:
        result.set(ascii(KNOWN[below(KNOWN.length)]!), Math.min(at, result.length - 4));
        break;
      case 4:
        result = concat(result.subarray(0, at), result.subarray(at + 1 + below(40)));
        break;
      default:
        result = below(4) ? concat(result.subarray(0, at), result.subarray(Math.max(0, at - 40))) : result.slice(0, at);
    }
    if (result.length < indexAt + 8) break;
  }
  return result;
}

it("damaged files give an index or a MediaError, within the same bounds", async () => {
  const next = random(15);
  const clips: Uint8Array[] = [];
  for (const name of ["h264_faststart.mp4", "h264_fragmented.mp4", "hevc_hvc1.mp4", "vp9.mp4", "av1.mp4", "h264.mov"]) {
    const bytes = await readFixture(`media/videos/${name}`);
    const indexAt = placeOf(bytes, "moov") - 4;
    const size = new DataView(bytes.buffer).getUint32(indexAt);
    const indexEnd = name === "h264_fragmented.mp4" ? bytes.length : indexAt + size;
    for (let i = 0; i < 150; i++) clips.push(damaged(bytes, indexAt, indexEnd, next));
  }
  const results = await readAll(clips);
  expect(results).toHaveLength(clips.length);
  expect(results.filter(({ code }) => code !== undefined && code !== "MEDIA")).toEqual([]);
  // Some are as good as before, or the faults would say nothing of the tables behind the first.
  expect(results.filter(({ samples }) => samples !== undefined).length).toBeGreaterThan(50);
  expect(results.filter(({ code }) => code === "MEDIA").length).toBeGreaterThan(300);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  expect(results.filter(({ message }) => message && /[\x00-\x1f\x7f-\x9f]/.test(message))).toEqual([]);
  expect(Math.max(...results.map(({ peakBytes }) => peakBytes))).toBeLessThan(64 * MEGABYTE);
  expect(Math.max(...results.map(({ milliseconds }) => milliseconds))).toBeLessThan(PATIENCE_MS);
});
