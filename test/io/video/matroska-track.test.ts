import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { configOf, type MatroskaTrack, readTracks } from "../../../src/io/video/matroska-track.js";
import { element, float, type MadeTrack, text, tracks, uint } from "../../support/matroska.js";
import { concat } from "../../support/mp4.js";

/** First bytes of a VP8 frame, and the head of a VP9 keyframe of 96×64, profile 0. */
const VP8_KEYFRAME = Uint8Array.of(0x10, 0, 0);
const VP9_KEYFRAME = Uint8Array.of(0x82, 0x49, 0x83, 0x42, 0x00, 0x05, 0xf0, 0x03, 0xf6, 0x00);
/** Of a Tracks element of the test's builder: id and length. */
const HEAD_BYTES = 12;

const read = (...list: MadeTrack[]): MatroskaTrack[] =>
  readTracks(tracks(...list).subarray(HEAD_BYTES), { left: 1000 });
const readOne = (made: MadeTrack): MatroskaTrack => read(made)[0]!;
const encodings = (...parts: Uint8Array[]): Uint8Array =>
  element(0x6d80, ...parts.map((part) => element(0x6240, part)));
const compression = (algorithm: number, ...settings: Uint8Array[]): Uint8Array =>
  element(0x5034, uint(0x4254, algorithm), ...settings);

describe("readTracks", () => {
  it("reads what decoders and messages need of each entry", () => {
    const audio = { type: 2, codec: "A_OPUS", width: 0, height: 0, enabled: false };
    const list = read({ codec: "V_VP9", more: [element(0x63a2, [1, 2])] }, audio, { number: 300, type: 99 });
    expect(list).toMatchObject([
      { number: 1, kind: "video", isEnabled: true, codecId: "V_VP9", width: 96, height: 64, text: "V_VP9 96×64" },
      { number: 2, kind: "audio", isEnabled: false, codecId: "A_OPUS" },
      { number: 300, kind: "unknown" },
    ]);
    expect([...list[0]!.codecPrivate]).toEqual([1, 2]);
    expect(list.map(({ prefix, packing }) => [prefix.length, packing])).toEqual(list.map(() => [0, undefined]));
  });

  it("keeps the bytes that were stripped from the start of blocks", () => {
    const { prefix, packing } = readOne({ more: [encodings(compression(3, element(0x4255, [5, 6])))] });
    expect([[...prefix], packing]).toEqual([[5, 6], undefined]);
  });

  it.each<[string, Uint8Array]>([
    ["frames compressed by zlib", encodings(compression(0))],
    ["frames compressed by bzlib", encodings(compression(1))],
    ["frames compressed by 9", encodings(compression(9))],
    ["encrypted frames", encodings(uint(0x5033, 1))],
    ["headers stripped more than once", encodings(compression(3), compression(3))],
    ["headers stripped more than once", encodings(concat(uint(0x5032, 2), compression(3)))],
    ["headers stripped more than once", encodings(compression(3, element(0x4255, new Uint8Array(1025))))],
  ])("names %s", (packing, more) => {
    expect(readOne({ more: [more] }).packing).toBe(packing);
  });

  it("refuses more tracks and colours than files have, and an entry that is cut", () => {
    const entry = element(0xae, uint(0x83, 1));
    const many = (count: number) => () =>
      readTracks(concat(...Array.from({ length: count }, () => entry)), { left: 10_000 });
    expect(many(1024)()).toHaveLength(1024);
    expect(many(1025)).toThrow("more than 1024 tracks");
    const colour = element(0x55b0, new Uint8Array(5000));
    expect(() => readOne({ video: [colour] })).toThrow(`colours or turns of ${colour.length} bytes`);
    expect(() => readTracks(entry.subarray(0, -1), { left: 10 })).toThrow("a cut element");
    expect(() => readTracks(entry, { left: 1 })).toThrow("more elements than any description has");
  });
});

describe("configOf", () => {
  const config = (made: MadeTrack, keyframe = VP8_KEYFRAME) => configOf(readOne(made), keyframe, "made.webm");

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
      expect([roll, yaw, (await config({ video: [projection] })).orientation]).toEqual([roll, yaw, orientation]);
    }
  });

  it("reads matrix and range of the colours, but for VP8, which has one of its own", async () => {
    const video = [element(0x55b0, uint(0x55b1, 1), uint(0x55b9, 2), uint(0x55ba, 1), uint(0x55bb, 1))];
    const vp9 = await config({ codec: "V_VP9", video }, VP9_KEYFRAME);
    expect(vp9.colour).toEqual({ primaries: "bt709", transfer: "bt709", matrix: "bt709", fullRange: true });
    const none = { primaries: null, transfer: null, matrix: null, fullRange: null };
    expect((await config({ video })).colour).toEqual(none);
  });

  it("gives the codec string, and a name for a codec it does not know", async () => {
    expect(await config({})).toMatchObject({ codec: "vp8", width: 96, height: 64, description: undefined });
    expect((await config({ codec: "V_VP9" }, VP9_KEYFRAME)).codec).toMatch(/^vp09\.00\./);
    expect((await config({ codec: "V_THEORA" })).codec).toBe("V_THEORA");
    const bitmapHeader = concat(new Uint8Array(16), new TextEncoder().encode("XVID"), new Uint8Array(20));
    const windows = { codec: "V_MS/VFW/FOURCC", more: [element(0x63a2, bitmapHeader)] };
    expect((await config(windows)).codec).toBe("V_MS/VFW/FOURCC XVID");
  });

  it.each([
    [0, 64],
    [65535, 65535],
  ])("refuses a size of %i×%i", async (width, height) => {
    const refused = config({ width, height });
    await expect(refused).rejects.toThrow(MediaError);
    await expect(refused).rejects.toThrow(
      new RegExp(`^made\\.webm, the video track's size: expected pictures of 1 to \\d+ pixels, got ${width}×${height}`),
    );
  });
});

it("the text of a track with control characters holds none of them", () => {
  const body = element(0xae, text(0x86, "V_\u001b[31m"));
  expect(readTracks(body, { left: 10 })[0]!.text).not.toContain("\u001b");
});
