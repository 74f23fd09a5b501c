import { describe, expect, it, vi } from "vitest";
import { MediaError, OcellusError } from "../../../src/base/errors.js";
import { bytesSource } from "../../../src/io/bytes/source.js";
import { readClipIndex } from "../../../src/io/video/mp4.js";
import { readFixture } from "../../support/fixture.js";
import {
  ascii,
  avc1,
  box,
  concat,
  countingSource,
  fullBox,
  type MuxedTrack,
  madeUpSource,
  moov,
  u32,
  u64,
  visualEntry,
} from "../../support/mp4.js";
import { random } from "../../support/random.js";

const bytesOf = (name: string) => readFixture(`media/videos/${name}`);

const FTYP = box("ftyp", ascii("isom"), u32(0), ascii("isom"));
const AVCC = Uint8Array.of(1, 0x64, 0, 0x0b, 0xff, 0xe0, 0);

const track = (more: Partial<MuxedTrack> = {}): MuxedTrack => ({
  entry: avc1(16, 16, AVCC),
  timescale: 100,
  samples: [0, 1, 2, 3].map((i) => ({
    offsetBytes: 1000 + i * 10,
    sizeBytes: 10,
    durationTicks: 10,
    isKeyframe: i === 0,
  })),
  ...more,
});

const indexOf = (...boxes: Uint8Array[]) => readClipIndex(bytesSource(concat(...boxes), "made"), "made");

async function refusal(bytes: Uint8Array, label = "broken"): Promise<MediaError> {
  const error = await readClipIndex(bytesSource(bytes, label), label).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(MediaError);
  return error as MediaError;
}

describe("readClipIndex", () => {
  it("reads the sample table in decode order and the frames in the order of time", async () => {
    const bytes = await bytesOf("h264_high_bframes.mp4");
    const clip = await readClipIndex(bytesSource(bytes, "x"), "x");
    expect(clip).toMatchObject({ codec: "avc1.64000b", width: 128, height: 96, timescale: 12800, orientation: 1 });
    expect(clip.samples).toHaveLength(24);
    expect(clip.samples.slice(0, 4).map(({ compositionTicks }) => compositionTicks)).toEqual([1024, 1536, 3584, 2560]);
    expect(clip.samples.map(({ isKeyframe }, i) => (isKeyframe ? i : -1)).filter((i) => i >= 0)).toEqual([0, 1, 13]);
    expect(clip.frames.map(({ timestampSeconds }) => timestampSeconds)).toEqual(
      Array.from({ length: 24 }, (_, i) => (i * 512) / 12800),
    );
    expect(clip.description?.slice(0, 4)).toEqual(Uint8Array.of(1, 0x64, 0, 0x0b));
  });

  it.each(["h264_baseline.mp4", "h264_faststart.mp4", "h264_fragmented.mp4", "h264_640x360_90.mp4"])(
    "%s: no sample is read for the index",
    async (name) => {
      const source = countingSource(await bytesOf(name), name);
      const { samples } = await readClipIndex(source, name);
      const media = samples.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      // A window behind a header may reach into the media; small files fit into one.
      const reach = source.reads.length * 4096;
      expect(source.bytesRead).toBeLessThanOrEqual(source.sizeBytes - media + reach);
      if (name === "h264_640x360_90.mp4") expect(source.bytesRead).toBeLessThan(source.sizeBytes / 10);
    },
  );

  it("turns the display matrix into an orientation", async () => {
    const turns: [number, number, number, number][] = [
      [1, 0, 0, 1],
      [-1, 0, 0, 1],
      [-1, 0, 0, -1],
      [1, 0, 0, -1],
      [0, 1, 1, 0],
      [0, 1, -1, 0],
      [0, -1, -1, 0],
      [0, -1, 1, 0],
    ];
    for (const [i, turn] of turns.entries()) {
      expect((await indexOf(FTYP, moov([track({ turn })]))).orientation).toBe(i + 1);
    }
    expect((await indexOf(FTYP, moov([track({ turn: [0.7, 0.7, -0.7, 0.7] })]))).orientation).toBe(1);
  });

  it("takes the colour of the container", async () => {
    const colr = (...body: number[]) => avc1(16, 16, AVCC, box("colr", body));
    const nclx = await indexOf(FTYP, moov([track({ entry: colr(...ascii("nclx"), 0, 1, 0, 1, 0, 1, 0x80) })]));
    expect(nclx.colour).toEqual({ primaries: "bt709", transfer: "bt709", matrix: "bt709", fullRange: true });
    const nclc = await indexOf(FTYP, moov([track({ entry: colr(...ascii("nclc"), 0, 6, 0, 1, 0, 6) })]));
    expect(nclc.colour).toEqual({ primaries: "smpte170m", transfer: "bt709", matrix: "smpte170m", fullRange: null });
    const none = { primaries: null, transfer: null, matrix: null, fullRange: null };
    expect((await indexOf(FTYP, moov([track({ entry: colr(...ascii("nclx"), 0, 2, 0, 2, 0, 2, 0) })]))).colour).toEqual(
      {
        ...none,
        fullRange: false,
      },
    );
    expect((await indexOf(FTYP, moov([track()]))).colour).toEqual(none);
  });

  it("takes the first enabled video track, else the first", async () => {
    const [off, on] = [track({ timescale: 50, enabled: false }), track({ timescale: 60 })];
    expect((await indexOf(FTYP, moov([off, on, track()]))).timescale).toBe(60);
    expect((await indexOf(FTYP, moov([off, { ...on, enabled: false }]))).timescale).toBe(50);
  });

  it("takes the first video track, names an unknown codec, and skips metadata", async () => {
    const sound = track({ handler: "soun", entry: box("mp4a", new Uint8Array(28)) });
    const prores = track({ entry: visualEntry("apch", 16, 16), extra: box("udta", box("\xa9xyz", [1, 2, 3])) });
    const clip = await indexOf(FTYP, box("free", [1]), moov([sound, prores, track()]));
    expect(clip.codec).toBe("apch");
  });

  it("finds samples past 4 GB and an index behind them", async () => {
    const far = 5e9;
    const head = concat(FTYP, u32(1), ascii("mdat"), u64(far));
    const index = moov([track({ samples: [{ offsetBytes: far - 100, sizeBytes: 7, durationTicks: 1 }] })]);
    const end = FTYP.length + far;
    const source = madeUpSource("far", end + index.length, (offset, length) => {
      const bytes = new Uint8Array(length);
      for (const [part, start] of [
        [head, 0],
        [index, end],
      ] as const) {
        for (let i = Math.max(offset, start); i < Math.min(offset + length, start + part.length); i++) {
          bytes[i - offset] = part[i - start]!;
        }
      }
      return bytes;
    });
    const clip = await readClipIndex(source, "far");
    expect(clip.samples).toEqual([{ offsetBytes: far - 100, sizeBytes: 7, compositionTicks: 0, isKeyframe: true }]);
    expect(source.bytesRead).toBeLessThan(20_000);
  });

  it("leaves out pictures that no decoder can make", async () => {
    // Before the first keyframe, and shown before it.
    const offsets = [0, 0, 20, -15, 5];
    const samples = offsets.map((compositionOffset, i) => ({
      ...{ offsetBytes: 1000 + i, sizeBytes: 1, durationTicks: 10 },
      ...{ compositionOffset, isKeyframe: i === 2 },
    }));
    const clip = await indexOf(FTYP, moov([track({ samples })]));
    expect(clip.frames.map(({ sample }) => sample)).toEqual([2, 4]);
  });

  it("follows every run and decode time of fragments", async () => {
    // Two tracks; ours has two runs in the first fragment with the other's data between them, and a gap before the second.
    const trex = (id: number) => fullBox("trex", 0, 0, u32(id), u32(1), u32(10), u32(5), u32(0x10000));
    const mvex = box("mvex", trex(1), trex(2));
    const index = moov([track({ samples: [] }), track({ handler: "soun", samples: [] })], mvex);
    const run = (offset: number, count: number) => fullBox("trun", 0, 1, u32(count), u32(offset));
    const traf = (id: number, time: number, ...runs: Uint8Array[]) =>
      box("traf", fullBox("tfhd", 0, 0x20000, u32(id)), fullBox("tfdt", 0, 0, u32(time)), ...runs);
    const moof = (...trafs: Uint8Array[]) => box("moof", fullBox("mfhd", 0, 0, u32(1)), ...trafs);
    const first = moof(traf(1, 100, run(200, 2), run(300, 1)), traf(2, 0, run(210, 3)));
    const second = moof(traf(1, 500, run(400, 1)));
    const mdat = box("mdat", new Uint8Array(600));
    const start = FTYP.length + index.length;
    const next = start + first.length + mdat.length;
    const clip = await indexOf(FTYP, index, first, mdat, second, mdat);
    expect(clip.samples.map((sample) => sample.offsetBytes)).toEqual([
      start + 200,
      start + 205,
      start + 300,
      next + 400,
    ]);
    expect(clip.frames.map((frame) => frame.timestampSeconds)).toEqual([1, 1.1, 1.2, 5]);
  });

  it("says what is wrong with a file", async () => {
    expect((await refusal(await bytesOf("not_a_video.mp4"))).fault.got).toMatch(/^text beginning with/);
    expect((await refusal(await bytesOf("audio_only.mp4"))).message).toContain("soun");
    expect((await refusal(await bytesOf("truncated_no_index.mp4"))).message).toMatch(/"mdat" at byte \d+.*cut/);
    expect((await refusal(new Uint8Array())).fault.got).toBe("no bytes at all");
    expect((await refusal(concat([0x1a, 0x45, 0xdf, 0xa3], new Uint8Array(30)))).fault.got).toContain("WebM");
    expect((await refusal(concat(FTYP, box("mdat", [1, 2])))).fault.got).toContain("none");
    expect((await refusal(concat(FTYP, moov([track({ samples: [] })])))).fault.expected).toContain(
      "at least one frame",
    );
    expect((await refusal(concat(FTYP, moov([track({ edits: [[100, 999]] })])))).fault.got).toContain(
      "none of them shown",
    );
    const named = await refusal(concat(FTYP, moov([track({ handler: "\x1b[1m" }), track({ handler: "soun" })])));
    expect(named.fault.got).toBe("tracks of other kinds (\\x1b[1m, soun)");
  });

  it("refuses or reads a file cut or changed anywhere, and never hangs", async () => {
    using told = vi.spyOn(console, "error").mockImplementation(() => undefined);
    for (const name of ["h264_faststart.mp4", "h264_fragmented.mp4"]) {
      const bytes = await bytesOf(name);
      for (let length = 1; length < bytes.length; length += 53) {
        await readClipIndex(bytesSource(bytes.slice(0, length), name), name).catch((error: unknown) => {
          expect(error).toBeInstanceOf(OcellusError);
        });
      }
      const next = random(5);
      for (let i = 0; i < 500; i++) {
        const changed = bytes.slice();
        const place = Math.floor(next() * 1800);
        const value = Math.floor(next() * 256);
        changed[place] = value;
        await readClipIndex(bytesSource(changed, name), name).catch((error: unknown) => {
          expect(error, `byte ${place} = ${value}`).toBeInstanceOf(OcellusError);
        });
      }
    }
    expect(told).not.toHaveBeenCalled();
  });
});
