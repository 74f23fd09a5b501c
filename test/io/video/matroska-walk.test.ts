import { describe, expect, it } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { Walk } from "../../../src/io/video/matroska-walk.js";
import {
  block,
  CLUSTER,
  cluster,
  element,
  endless,
  head,
  info,
  SEGMENT,
  tracks,
  uint,
} from "../../support/matroska.js";
import { concat, countingSource } from "../../support/mp4.js";

/** First bytes of VP8 frames: shown, and hidden. */
const SHOWN = [0x10, 0, 0];
const HIDDEN = [0x00, 0, 0];

const walkOf = (bytes: Uint8Array, track?: number): Walk =>
  new Walk(countingSource(bytes, "made.webm"), "made.webm", { track });

async function walked(bytes: Uint8Array): Promise<Walk> {
  const walk = walkOf(bytes);
  await walk.run();
  return walk;
}

const times = ({ blocks }: Walk): number[] => blocks.samples().map(({ compositionTicks }) => compositionTicks);
const file = (...parts: readonly Uint8Array[]): Uint8Array => concat(head(), element(SEGMENT, ...parts));
const plain = (...blocks: readonly Uint8Array[]): Uint8Array => file(tracks({}), cluster(0, ...blocks));

describe("Walk", () => {
  it("finds the track, its blocks, and the length of a tick", async () => {
    const walk = await walked(
      file(info(1e5), tracks({}), cluster(1000, block(SHOWN), block([...SHOWN, 1], { ticks: -4, key: false }))),
    );
    expect([walk.track?.text, walk.timestampScale, walk.passedBlocks]).toEqual(["V_VP8 96×64", 1e5, false]);
    expect(times(walk)).toEqual([1000, 996]);
    expect(walk.blocks.samples().map(({ sizeBytes, isKeyframe }) => [sizeBytes, isKeyframe])).toEqual([
      [3, true],
      [4, false],
    ]);
    expect(walk.wholeBytes).toBeUndefined();
  });

  it("passes over other tracks, empty blocks, unknown elements and what follows the segment", async () => {
    const parts = [block([1], { track: 2 }), block(SHOWN), element(0x4fff, [1, 2]), block([], { ticks: 9 })];
    expect(times(await walked(concat(plain(...parts), [1, 2, 3])))).toEqual([0]);
  });

  it("notes blocks before the tracks, and has them after a second run", async () => {
    const walk = walkOf(file(cluster(0, block(SHOWN)), tracks({})));
    await walk.run();
    expect([walk.passedBlocks, walk.blocks.length]).toEqual([true, 0]);
    await walk.run();
    expect([walk.passedBlocks, walk.blocks.length]).toEqual([false, 1]);
  });

  it("keeps the blocks of a cut file, and the length that its segment states", async () => {
    const bytes = plain(block(SHOWN), block(SHOWN, { ticks: 40 }));
    const cut = await walked(bytes.subarray(0, bytes.length - 1));
    expect([times(cut), cut.wholeBytes]).toEqual([[0], bytes.length]);
  });

  it("marks hidden frames, and groups that refer to another frame", async () => {
    const group = (ticks: number, ...more: Uint8Array[]) =>
      element(0xa0, element(0xa1, [0x81, 0, ticks, 0], SHOWN), ...more);
    const walk = await walked(
      plain(group(0), group(5, element(0xfb, [0xff])), block(HIDDEN, { ticks: 9, key: false })),
    );
    expect(walk.blocks.samples().map(({ isKeyframe, isHidden }) => [isKeyframe, isHidden ?? false])).toEqual([
      [true, false],
      [false, false],
      [false, true],
    ]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["laced blocks", plain(block(SHOWN, { lacing: 2 })), /one frame in a block, got several/],
    ["encrypted blocks", plain(element(0xaf, [1])), /blocks that are not encrypted/],
    ["a block without a whole head", plain(element(0xa3, [0x81, 0])), /a block's head, got 2 bytes/],
    ["another EBML document", concat(head("mkanim"), element(SEGMENT)), /of type "webm" or "matroska", got "mkanim"/],
    ["ticks of nothing", file(info(0), tracks({})), /ticks of more than 0 ns/],
    ["no tracks at all", file(element(0x1654ae6b)), /a video track, got no track at all/],
    [
      "frames that the container compresses",
      file(tracks({ more: [element(0x6d80, element(0x6240, element(0x5034, uint(0x4254, 0))))] })),
      /neither encrypts nor compresses, got frames compressed by zlib/,
    ],
    [
      "a block beyond its cluster",
      concat(head(), endless(SEGMENT, tracks({}), element(CLUSTER, block(SHOWN).subarray(0, 14)), block(SHOWN))),
      /ends inside its cluster/,
    ],
    ["a description that is cut", concat(head(), endless(SEGMENT, tracks({}).subarray(0, 30))), /the file is cut/],
    [
      "a description of more bytes than files have",
      file(element(0x1654ae6b, new Uint8Array(5_000_000))),
      /at most 4194304 bytes, got 5000000 bytes/,
    ],
    ["junk", concat(head(), endless(SEGMENT, tracks({}), new Uint8Array(99).fill(0xff))), /an element of Matroska/],
    ["a description without end", concat(head(), endless(SEGMENT, endless(0x1654ae6b))), /an element of known size/],
  ])("refuses %s", async (_, bytes, message) => {
    const walking = walked(bytes);
    await expect(walking).rejects.toThrow(MediaError);
    await expect(walking).rejects.toThrow(message);
    await expect(walking).rejects.toThrow(/^made\.webm/);
  });

  it("counts the elements of all descriptions together", async () => {
    const voids = new Uint8Array(200_000).map((_, i) => (i % 2 === 0 ? 0xec : 0x80));
    await expect(walked(file(element(0x1654ae6b, voids)))).rejects.toThrow("more elements");
  });
});
