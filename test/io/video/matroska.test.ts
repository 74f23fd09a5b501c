import { describe, expect, it } from "vitest";
import { MediaError, OptionError } from "../../../src/base/errors.js";
import type { ClipIndex } from "../../../src/io/video/clip-index.js";
import { elementsIn } from "../../../src/io/video/ebml.js";
import { readMatroskaIndex } from "../../../src/io/video/matroska.js";
import { readFrames } from "../../../src/io/video/video.js";
import { readFixture } from "../../support/fixture.js";
import {
  block,
  CLUSTER,
  cluster,
  element,
  endless,
  float,
  head,
  info,
  SEGMENT,
  text,
  tracks,
  uint,
} from "../../support/matroska.js";
import { concat, countingSource } from "../../support/mp4.js";
import { sha256 } from "../../support/pixels.js";

/** First bytes of VP8 frames: shown, and hidden. */
const SHOWN = [0x10, 0, 0];
const HIDDEN = [0x00, 0, 0];

const index = (bytes: Uint8Array, track?: number): Promise<ClipIndex> =>
  readMatroskaIndex(countingSource(bytes, "made.webm"), "made.webm", { track });

const refusal = (bytes: Uint8Array, track?: number): Promise<Error> =>
  index(bytes, track).then(
    () => {
      throw new Error("expected a refusal");
    },
    (error: Error) => error,
  );

const seconds = ({ frames }: ClipIndex): number[] => frames.map(({ timestampSeconds }) => timestampSeconds);
const file = (...parts: readonly Uint8Array[]): Uint8Array => concat(head(), element(SEGMENT, ...parts));
const plain = (...blocks: readonly Uint8Array[]): Uint8Array => file(tracks({}), cluster(0, ...blocks));

describe("readMatroskaIndex", () => {
  it("gives each block its place, time and kind", async () => {
    const bytes = file(
      info(1e5),
      tracks({}),
      cluster(1000, block(SHOWN), block([...SHOWN, 1], { ticks: -4, key: false })),
    );
    const clip = await index(bytes);
    expect(clip).toMatchObject({ codec: "vp8", width: 96, height: 64, timescale: 1e4, orientation: 1 });
    expect(
      clip.samples.map(({ sizeBytes, compositionTicks, isKeyframe }) => [sizeBytes, compositionTicks, isKeyframe]),
    ).toEqual([
      [3, 1000, true],
      [4, 996, false],
    ]);
    for (const { offsetBytes } of clip.samples)
      expect([...bytes.subarray(offsetBytes, offsetBytes + 3)]).toEqual(SHOWN);
    // Shown before its own keyframe: it refers to what is not there.
    expect(seconds(clip)).toEqual([0.1]);
  });

  it("takes a block of a group as a keyframe unless it refers to another", async () => {
    const group = (ticks: number, ...more: Uint8Array[]) =>
      element(0xa0, element(0xa1, [0x81, 0, ticks, 0], SHOWN), ...more);
    const clip = await index(plain(group(0), group(5, element(0xfb, [0xff])), group(9, uint(0x9b, 3))));
    expect(clip.samples.map(({ isKeyframe }) => isKeyframe)).toEqual([true, false, true]);
  });

  it("reads live recordings: no sizes, no duration, clusters up to the next one", async () => {
    const live = concat(
      head(),
      endless(
        SEGMENT,
        tracks({}),
        endless(CLUSTER, uint(0xe7, 0), block(SHOWN)),
        endless(CLUSTER, uint(0xe7, 500), block(SHOWN)),
      ),
    );
    expect(seconds(await index(live))).toEqual([0, 0.5]);
    // Of a recorder that was stopped the last block may be half written, or room left that never was.
    const cut = await index(live.subarray(0, live.length - 2));
    expect([seconds(cut), cut.wholeBytes]).toEqual([[0], undefined]);
    expect(seconds(await index(concat(live, new Uint8Array(100_000))))).toEqual([0, 0.5]);
    expect(await refusal(concat(live, new Uint8Array(100), [1]))).toBeInstanceOf(MediaError);
  });

  it("says of a cut file how long it should be, and reads it up to there if asked to", async () => {
    const bytes = await readFixture("clips/vp8_bt709.webm");
    const cut = bytes.slice(0, 4000);
    const read = async (endSeconds?: number) => {
      let count = 0;
      for await (const _ of readFrames(cut, { label: "cut.webm", endSeconds, frames: 100 })) count++;
      return count;
    };
    await expect(read()).rejects.toThrow(
      /cut\.webm: expected 7057 bytes, got a file that ends at 4000, .* choose an end/,
    );
    expect(await read(0.2)).toBe(3);
  });

  it("puts recordings one after the other where times go back", async () => {
    const one = concat(head(), endless(SEGMENT, tracks({}), cluster(0, block(SHOWN), block(SHOWN, { ticks: 40 }))));
    expect(seconds(await index(concat(one, one)))).toEqual([0, 0.04, 0.08, 0.12]);
    const other = concat(head(), endless(SEGMENT, tracks({ codec: "V_VP9" }), cluster(0, block(SHOWN))));
    expect((await refusal(concat(one, other))).message).toMatch(
      /where another recording begins: expected one like the first \(V_VP8 96×64/,
    );
  });

  it("finds tracks that are described after the blocks", async () => {
    expect(seconds(await index(file(cluster(0, block(SHOWN)), tracks({}))))).toEqual([0]);
  });

  it("passes over other tracks, empty blocks, unknown elements and what follows the segment", async () => {
    const parts = [block([1], { track: 2 }), block(SHOWN), element(0x4fff, [1, 2]), block([], { ticks: 9 })];
    const clip = await index(concat(plain(...parts), [1, 2, 3]));
    expect(clip.samples).toHaveLength(1);
  });

  it("takes the first enabled video track, or the one asked for", async () => {
    const audio = { type: 2, codec: "A_OPUS" };
    const both = file(
      tracks(audio, { enabled: false, width: 32, height: 32 }, { width: 64 }),
      cluster(0, block(SHOWN, { track: 2 }), block(SHOWN, { track: 3 })),
    );
    expect((await index(both)).width).toBe(64);
    expect((await index(both, 0)).width).toBe(32);
    expect((await index(both, 1)).width).toBe(64);
    const error = await refusal(both, 2);
    expect(error).toBeInstanceOf(OptionError);
    expect(error.message).toContain("0: V_VP8 32×32, disabled; 1: V_VP8 64×64");
    const disabled = file(tracks({ enabled: false }), cluster(0, block(SHOWN)));
    expect((await index(disabled)).width).toBe(96);
    expect((await refusal(file(tracks(audio)))).message).toContain("tracks of other kinds (audio)");
  });

  it("knows hidden frames of VP8 and VP9, which decoders do not give back", async () => {
    const vp8 = await index(
      plain(block(SHOWN), block(HIDDEN, { ticks: 1, key: false }), block(SHOWN, { ticks: 2, key: false })),
    );
    expect(vp8.samples.map(({ isHidden }) => isHidden ?? false)).toEqual([false, true, false]);
    expect(seconds(vp8)).toEqual([0, 0.002]);
    const vp9 = (first: number, last: number) => block([first, 0, last], { ticks: 1, key: false });
    // Hidden alone; in a superframe with the one that is shown; shown; an earlier frame shown again.
    for (const [data, hidden] of [
      [vp9(0x84, 0), true],
      [vp9(0x84, 0xc1), false],
      [vp9(0x86, 0), false],
      [vp9(0x88, 0), false],
    ] as const) {
      const clip = await index(file(tracks({ codec: "V_VP9" }), cluster(0, block(VP9_KEYFRAME), data)));
      expect(clip.samples[1]!.isHidden ?? false).toBe(hidden);
    }
  });

  it("turns pictures as the projection says", async () => {
    const poses: [roll: number, yaw: number, orientation: number][] = [
      [0, 0, 1],
      [-90, 0, 6],
      [90, 0, 8],
      [180, 0, 3],
      [0, 180, 2],
      [-90, 180, 7],
      [90, 180, 5],
      [180, 180, 4],
      [30, 0, 1],
    ];
    for (const [roll, yaw, orientation] of poses) {
      const projection = element(0x7670, uint(0x7671, 0), float(0x7673, yaw), float(0x7675, roll));
      const clip = await index(file(tracks({ video: [projection] }), cluster(0, block(SHOWN))));
      expect([roll, yaw, clip.orientation]).toEqual([roll, yaw, orientation]);
    }
  });

  it("reads matrix and range of the colours", async () => {
    const colour = element(0x55b0, uint(0x55b1, 1), uint(0x55b9, 2), uint(0x55ba, 1), uint(0x55bb, 1));
    const vp9 = tracks({ codec: "V_VP9", video: [colour] });
    const clip = await index(file(vp9, cluster(0, block(VP9_KEYFRAME))));
    expect(clip.colour).toEqual({ primaries: "bt709", transfer: "bt709", matrix: "bt709", fullRange: true });
    const none = { primaries: null, transfer: null, matrix: null, fullRange: null };
    // VP8 has one of its own.
    expect((await index(file(tracks({ video: [colour] }), cluster(0, block(SHOWN))))).colour).toEqual(none);
  });

  it("puts stripped headers back", async () => {
    const bytes = await readFixture("clips/vp8_bt709.webm");
    const clip = await index(bytes);
    const { offsetBytes, sizeBytes } = clip.samples[0]!;
    const prefix = bytes.subarray(offsetBytes, offsetBytes + 3);
    const rest = block(bytes.subarray(offsetBytes + 3, offsetBytes + sizeBytes));
    const encodings = element(0x6d80, element(0x6240, element(0x5034, uint(0x4254, 3), element(0x4255, prefix))));
    const colour = element(0x55b0, uint(0x55b1, 1), uint(0x55b9, 1));
    const stripped = file(tracks({ more: [encodings], video: [colour] }), cluster(0, rest));
    const first = async (clipBytes: Uint8Array) => {
      for await (const { picture } of readFrames(clipBytes)) return sha256(picture.data);
      return "none";
    };
    expect(await first(stripped)).toBe(await first(bytes));
  });

  it.each([
    ["zlib", element(0x5034, uint(0x4254, 0)), "frames compressed by zlib"],
    ["encryption", uint(0x5033, 1), "encrypted frames"],
  ])("names %s, which it cannot undo", async (_, part, got) => {
    const error = await refusal(
      file(tracks({ more: [element(0x6d80, element(0x6240, part))] }), cluster(0, block(SHOWN))),
    );
    expect(error).toMatchObject({ fault: { got } });
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["laced blocks", plain(block(SHOWN, { lacing: 2 })), /one frame in a block, got several/],
    ["another EBML document", concat(head("mkanim"), element(SEGMENT)), /of type "webm" or "matroska", got "mkanim"/],
    ["no tracks", file(), /a Tracks element, got none/],
    ["no blocks", file(tracks({})), /at least one frame/],
    ["hidden frames alone", plain(block(HIDDEN)), /at least one frame/],
    ["ticks of nothing", file(info(0), tracks({})), /ticks of more than 0 ns/],
    ["no size", file(tracks({ width: 0 }), cluster(0, block(SHOWN))), /pictures of 1 to \d+ pixels, got 0×64/],
    ["a huge size", file(tracks({ width: 65535, height: 65535 }), cluster(0, block(SHOWN))), /got 65535×65535/],
    [
      "a block beyond its cluster",
      concat(head(), endless(SEGMENT, tracks({}), element(CLUSTER, block(SHOWN).subarray(0, 14)), block(SHOWN))),
      /ends inside its cluster/,
    ],
    ["a description that is cut", concat(head(), endless(SEGMENT, tracks({}).subarray(0, 30))), /the file is cut/],
    [
      "junk",
      concat(
        head(),
        endless(
          SEGMENT,
          tracks({}),
          Uint8Array.from({ length: 99 }, () => 0xff),
        ),
      ),
      /an element of Matroska/,
    ],
    ["a description without end", concat(head(), endless(SEGMENT, endless(0x1654ae6b))), /an element of known size/],
  ])("refuses %s", async (_, bytes, message) => {
    const error = await refusal(bytes);
    expect(error).toBeInstanceOf(MediaError);
    expect(error.message).toMatch(message);
  });

  it("names codecs without a decoder", async () => {
    const named = async (codec: string, more: Uint8Array[] = []) => {
      const bytes = file(tracks({ codec, more }), cluster(0, block(SHOWN)));
      return readFrames(bytes)
        .next()
        .then(String, (error: Error) => error.message);
    };
    expect(await named("V_THEORA")).toContain("Theora (V_THEORA)");
    const bitmapHeader = concat(new Uint8Array(16), new TextEncoder().encode("XVID"), new Uint8Array(20));
    const vfw = await named("V_MS/VFW/FOURCC", [element(0x63a2, bitmapHeader)]);
    expect(vfw).toContain("Video for Windows (V_MS/VFW/FOURCC XVID)");
    expect(await named("V_\u001b[31m")).not.toContain("\u001b");
  });
});

describe("bounds", () => {
  it("takes no more frames than the size of a file allows", async () => {
    const many = new Uint8Array(200_000 * 7);
    const tiny = [0xa3, 0x85, 0x81, 0, 0, 0x80, 0x10];
    for (let i = 0; i < many.length; i++) many[i] = tiny[i % tiny.length]!;
    const error = await refusal(concat(head(), endless(SEGMENT, tracks({}), endless(CLUSTER, many))));
    expect(error.message).toMatch(/at most \d+ frames in a file of this size/);
  });

  it("takes no more elements, tracks and colours than files have", async () => {
    const repeated = (part: Uint8Array, count: number) => concat(...Array.from({ length: count }, () => part));
    const blocks = cluster(0, block(SHOWN));
    const entries = element(0x1654ae6b, repeated(element(0xae, uint(0x83, 1)), 2000));
    expect((await refusal(file(entries, blocks))).message).toContain("more than 1024 tracks");
    const voids = repeated(Uint8Array.of(0xec, 0x80), 100_000);
    expect((await refusal(file(element(0x1654ae6b, voids), blocks))).message).toContain("more elements");
    const colour = element(0x55b0, new Uint8Array(5000));
    expect((await refusal(file(tracks({ video: [colour] }), blocks))).message).toContain("colours or turns");
    expect((await refusal(file(element(0x1654ae6b, new Uint8Array(5_000_000)), blocks))).message).toContain(
      "at most 4194304 bytes",
    );
  });

  it("reads a file about once, in large pieces", async () => {
    const bytes = plain(...Array.from({ length: 3000 }, (_, i) => block(new Uint8Array(1000).fill(16), { ticks: i })));
    const source = countingSource(bytes, "made.webm");
    await readMatroskaIndex(source, "made.webm");
    expect(source.reads.length).toBeLessThan(10);
    expect(source.bytesRead).toBeLessThan(bytes.length * 1.1);
  });
});

/** The head of a VP9 keyframe, 96×64, profile 0. */
const VP9_KEYFRAME = [0x82, 0x49, 0x83, 0x42, 0x00, 0x05, 0xf0, 0x03, 0xf6, 0x00];

it("an element's children are counted against a budget", () => {
  expect(() => [...elementsIn(concat(text(0x86, "a"), text(0x86, "b")), { left: 1 })]).toThrow("more elements");
});
