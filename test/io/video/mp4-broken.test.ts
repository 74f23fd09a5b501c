import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import type { ByteSource } from "../../../src/io/bytes/source.js";
import { readClipIndex } from "../../../src/io/video/mp4.js";
import { readFrames } from "../../../src/io/video/video.js";
import { readFixture } from "../../support/fixture.js";
import {
  ascii,
  avc1,
  box,
  concat,
  countingSource,
  fullBox,
  type MuxedSample,
  type MuxedTrack,
  madeUpSource,
  moov,
  u16,
  u32,
  u64,
} from "../../support/mp4.js";

// Files that lie: a clear refusal, after little reading and in little time.

const FTYP = box("ftyp", ascii("isom"), u32(0), ascii("isom"));
const AVCC = Uint8Array.of(1, 0x64, 0, 0x0b, 0xff, 0xe0, 0);
const TERABYTE = 2 ** 40;
/** What a refusal may take, on a slow machine that does other things too. */
const PATIENCE_MS = 30_000;

const sample = (more: Partial<MuxedSample> = {}): MuxedSample => ({
  offsetBytes: 100,
  sizeBytes: 10,
  durationTicks: 10,
  ...more,
});
const track = (more: Partial<MuxedTrack> = {}): MuxedTrack => ({
  entry: avc1(16, 16, AVCC),
  timescale: 100,
  samples: [sample()],
  ...more,
});

/** A file that begins with the bytes and goes on with zeros, or with the same bytes again and again. */
function endless(start: Uint8Array, sizeBytes = TERABYTE, again?: Uint8Array): ReturnType<typeof madeUpSource> {
  return madeUpSource("endless.mp4", sizeBytes, (offset, length) => {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const at = offset + i;
      bytes[i] = at < start.length ? start[at]! : again ? again[(at - start.length) % again.length]! : 0;
    }
    return bytes;
  });
}

/** The refusal of a source, in time and with few bytes read. */
async function refusal(source: ByteSource & { bytesRead?: number }, mostBytes = 1 << 20): Promise<MediaError> {
  const started = performance.now();
  const error = await readFrames(source)
    .next()
    .then(
      () => "a frame",
      (e: unknown) => e,
    );
  expect(performance.now() - started).toBeLessThan(PATIENCE_MS);
  expect(error).toBeInstanceOf(MediaError);
  expect(source.bytesRead ?? 0).toBeLessThanOrEqual(mostBytes);
  return error as MediaError;
}

const ofBytes = (...parts: Uint8Array[]) => refusal(countingSource(concat(...parts), "made.mp4"));

describe("an index without end", () => {
  it("that says it goes on to the end of the file", async () => {
    const error = await refusal(endless(concat(FTYP, u32(0), ascii("moov"))));
    expect(error.message).toMatch(/box "moov" at byte 20: expected at most 268435456 bytes, got 1099511627756 bytes/);
  });

  it("of 64 bits", async () => {
    expect((await refusal(endless(concat(FTYP, u32(1), ascii("moov"), u64(2 ** 39))))).fault.got).toBe(
      "549755813888 bytes",
    );
    expect((await ofBytes(FTYP, concat(u32(1), ascii("moov"), u64(2 ** 39)))).fault.remedy).toContain("cut");
    const tooLarge = concat(FTYP, u32(1), ascii("moov"), u32(0xffffffff), u32(0xffffffff));
    expect((await refusal(endless(tooLarge))).fault.expected).toContain("a size that fits");
  });

  it("of boxes without number, inside and at the top", async () => {
    const tiny = box("free");
    const inside = endless(concat(FTYP, u32(8 + tiny.length * 2 ** 21), ascii("moov")), 2 ** 25, tiny);
    expect((await refusal(inside, 2 ** 25)).fault.expected).toBe("at most 1048576 boxes");
    expect((await refusal(endless(FTYP, TERABYTE, tiny), 2 ** 24)).fault.expected).toBe("at most 1048576 boxes");
  });

  it("of nothing but zeros", async () => {
    expect((await refusal(endless(FTYP))).fault.got).toMatch(/none|0/);
  });

  it("of fragments without pictures", async () => {
    const start = concat(FTYP, moov([track({ samples: [] })], box("mvex", fullBox("trex", 0, 0, new Uint8Array(20)))));
    const moof = box("moof", fullBox("mfhd", 0, 0, u32(1)));
    const error = await refusal(endless(start, 2 ** 22, moof), 2 ** 23);
    expect(error.fault.expected).toContain("at least one frame");
  });
});

describe("a sample table that lies", () => {
  it.each(["stsz", "stts", "ctts", "stsc", "co64", "stsd", "stss", "elst"])(
    "with billions of rows in %s",
    async (type) => {
      const samples = [sample(), sample({ offsetBytes: 110, isKeyframe: false })];
      const bytes = concat(FTYP, moov([track({ samples, edits: [[1e8, 0]] })]), new Uint8Array(100));
      bytes.set(u32(0xfffffff0), find(bytes, type) + (type === "stsz" ? 8 : 4));
      const error = await ofBytes(bytes);
      expect(error.fault.where).toBe(`made.mp4, box "${type}" at byte ${find(bytes, type) - 8}`);
      expect(error.fault.expected).toMatch(/^4294967280 rows of \d+ bytes$/);
    },
  );

  it("with millions of samples that no row or byte stands for", async () => {
    const table = concat(FTYP, moov([track()]));
    table.set([...u32(1), ...u32(2 ** 22)], find(table, "stsz") + 4);
    expect((await ofBytes(table)).fault.got).toBe("4194304 samples of 1 bytes");
    const mvex = box("mvex", fullBox("trex", 0, 0, u32(1), u32(1), u32(1), u32(0), u32(0)));
    for (const header of [fullBox("tfhd", 0, 0, u32(1)), fullBox("tfhd", 0, 0x10, u32(1), u32(1))]) {
      const moof = box("moof", box("traf", header, fullBox("trun", 0, 0, u32(2 ** 22))));
      const error = await ofBytes(FTYP, moov([track({ samples: [] })], mvex), moof);
      expect(error.message).toMatch(/box "trun".*expected samples with bytes, within the \d+ bytes of the file/);
    }
  });

  it("with billions of samples of one duration, or in one chunk", async () => {
    // These counts have no row for each: a true table may say more than there is, and what there is counts.
    const bytes = concat(FTYP, moov([track({ samples: [sample(), sample()] })]));
    for (const [type, place] of [
      ["stts", 16],
      ["stsc", 20],
    ] as const) {
      const changed = bytes.slice();
      changed.set(u32(0xffffffff), find(changed, type) + place - 4);
      const source = countingSource(changed, "made.mp4");
      const started = performance.now();
      const clip = await readClipIndex(source, "made").catch((error: unknown) => error);
      expect(performance.now() - started).toBeLessThan(PATIENCE_MS);
      if (clip instanceof Error) expect(clip).toBeInstanceOf(MediaError);
      else expect(clip).toMatchObject({ samples: { length: 2 } });
    }
  });

  it("with places and sizes beyond the file", async () => {
    const lie = async (more: Partial<MuxedSample>) => ofBytes(FTYP, moov([track({ samples: [sample(more)] })]));
    expect((await lie({ offsetBytes: 1e6 })).message).toMatch(
      /sample 1 of 1: expected 10 bytes at 1000000, got a file/,
    );
    expect((await lie({ sizeBytes: 1e7 })).message).toMatch(/expected 10000000 bytes at 100, got a file that ends/);
    expect((await lie({ sizeBytes: 0xffffffff })).fault.expected).toContain("at most 268435456 bytes");
    expect((await lie({ offsetBytes: 2 ** 60 })).fault.expected).toContain("a place and a time below 2^53");
    // In a file that is long enough for it a picture of 4 GB is read no more than in a short one.
    const start = concat(FTYP, moov([track({ samples: [sample({ sizeBytes: 0xf0000000 })] })]));
    expect((await refusal(endless(start))).fault.expected).toContain("at most 268435456 bytes");
  });

  it("that is not there, or empty", async () => {
    const bytes = concat(FTYP, moov([track()]));
    for (const type of ["stbl", "minf", "mdhd", "stsd", "stts", "stsc", "co64", "mvhd"]) {
      const without = bytes.slice();
      without.set(ascii("free"), find(without, type) - 4);
      expect((await ofBytes(without)).fault.expected).toContain(`"${type}"`);
    }
    expect((await ofBytes(FTYP, box("moov"))).fault.got).toBe("no track at all");
    expect((await ofBytes(FTYP, moov([]))).fault.got).toBe("no track at all");
    expect((await ofBytes(FTYP, moov([track({ samples: [] })]))).fault.expected).toContain("at least one frame");
    expect((await ofBytes(FTYP, moov([track({ timescale: 0 })]))).fault.got).toContain("0 ticks a second");
    expect((await ofBytes(FTYP, moov([track({ handler: "soun" })]))).fault.got).toBe("tracks of other kinds (soun)");
  });

  it("with an edit list that shows the track for ever", async () => {
    const samples = Array.from({ length: 2000 }, (_, i) => sample({ offsetBytes: 100 + i }));
    const edits = Array.from({ length: 4000 }, () => [1e8, 0] as const);
    const error = await ofBytes(FTYP, moov([track({ samples, edits })]));
    expect(error.message).toMatch(/more than \d{6} pictures by the edit list/);
  });
});

describe("absurd dimensions", () => {
  it("of a clip", async () => {
    const error = await ofBytes(FTYP, moov([track({ entry: avc1(65535, 65535, AVCC) })]));
    expect(error.message).toMatch(/box "stsd": expected pictures of at most 268435456 pixels, got 65535×65535/);
  });

  it("of an animation", async () => {
    const screen = (width: number, height: number) =>
      concat(ascii("GIF89a"), u16(width).reverse(), u16(height).reverse(), [0, 0, 0, 0x3b]);
    expect((await ofBytes(screen(65535, 65535))).fault.got).toBe("65535×65535");
    expect((await ofBytes(screen(0, 16))).fault.got).toBe("0×16");
    const long = await refusal(endless(screen(16, 16)));
    expect(long.fault.got).toBe(`${TERABYTE} bytes`);
  });
});

it("a file cut anywhere gives its first frame or a refusal", async () => {
  const bytes = await readFixture("media/videos/h264_faststart.mp4");
  for (let length = 0; length < bytes.length; length += Math.ceil(bytes.length / 12)) {
    const error = await refusal(countingSource(bytes.slice(0, length), "cut.mp4"), bytes.length + 16);
    expect(error.message, `${length} bytes`).toMatch(/^.+: expected .+, got .+ — .+/s);
  }
});

/** Where the box of that name has its type. */
function find(bytes: Uint8Array, type: string): number {
  const wanted = ascii(type);
  const at = bytes.findIndex((_, i) => wanted.every((letter, j) => bytes[i + j] === letter));
  if (at < 0) throw new Error(`no ${type}`);
  return at + 4;
}
