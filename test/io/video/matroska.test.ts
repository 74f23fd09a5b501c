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

  it.each<[string, Uint8Array, RegExp]>([
    ["no tracks", file(), /a Tracks element, got none/],
    ["no blocks", file(tracks({})), /at least one frame/],
    ["hidden frames alone", plain(block(HIDDEN)), /at least one frame/],
  ])("refuses %s", async (_, bytes, message) => {
    const error = await refusal(bytes);
    expect(error).toBeInstanceOf(MediaError);
    expect(error.message).toMatch(message);
  });

  it("gives typed errors for descriptions that cannot be parsed", async () => {
    const entries = element(0x1654ae6b, ...Array.from({ length: 2000 }, () => element(0xae, uint(0x83, 1))));
    const error = await refusal(file(entries, cluster(0, block(SHOWN))));
    expect(error).toBeInstanceOf(MediaError);
    expect(error.message).toContain("more than 1024 tracks");
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
