import { beforeAll, expect, test } from "vitest";
import { VisionBatching } from "../../../src/models/chat/vision-batching.js";
import type { Network } from "../../../src/models/llava-onevision/network.js";
import type { Tensor } from "../../../src/runtime/tensor.js";
import { random } from "../../support/random.js";
import { useTiny } from "../../support/tiny-model.js";

const held = useTiny();
let network: Network;
let tileBytes: number;
beforeAll(() => {
  ({ network } = held.model.internals);
  tileBytes = network.config.vision.tileSide ** 2 * 3;
});

function tilesOf(count: number, seed: number): Uint8Array {
  const next = random(seed);
  return Uint8Array.from({ length: count * tileBytes }, () => 256 * next());
}

/** Runs `work` and returns the numbers of tiles of the batches. */
async function batchesOf(work: () => Promise<unknown>): Promise<number[]> {
  const counts: number[] = [];
  const { project } = network;
  network.project = (tiles, count) => {
    counts.push(count);
    return project.call(network, tiles, count);
  };
  try {
    await work();
  } finally {
    network.project = project;
  }
  return counts;
}

const valuesOf = async (features: Tensor) => [...(await features.read())];

test("requests that wait while a batch is computed share the next one, with the features that each has alone", async () => {
  const owner = held.device.arena("visual tokens");
  const all = [1, 2, 3].map((count, seed) => ({ count, tiles: tilesOf(count, seed) }));
  const alone: number[][] = [];
  for (const { count, tiles } of all) alone.push(await valuesOf(owner.run(() => network.project(tiles, count))));
  const vision = new VisionBatching(network, () => false);
  let together: Tensor[] = [];
  const batches = await batchesOf(async () => {
    together = await Promise.all(all.map(({ count, tiles }) => vision.project(tiles, count, owner)));
  });
  expect(batches).toEqual([1, 5]);
  for (const [i, features] of together.entries()) expect(await valuesOf(features)).toEqual(alone[i]);
  owner.dispose();
});

test("beside sequences that generate a batch has one tile of each request", async () => {
  const owner = held.device.arena("visual tokens");
  const vision = new VisionBatching(network, () => true);
  let rows: number[] = [];
  const batches = await batchesOf(async () => {
    const all = await Promise.all([2, 3, 3].map((count) => vision.project(tilesOf(count, 1), count, owner)));
    rows = all.map((features) => features.size(0));
  });
  expect(batches).toEqual([1, 2]);
  expect(new Set(rows)).toEqual(new Set([network.config.vision.cells ** 2]));
  owner.dispose();
});

test("a request that was aborted takes no part, and the error of a batch reaches all of its requests", async () => {
  const owner = held.device.arena("visual tokens");
  const vision = new VisionBatching(network, () => false);
  const abort = new AbortController();
  const batches = await batchesOf(async () => {
    const first = vision.project(tilesOf(1, 1), 1, owner);
    void vision.project(tilesOf(2, 1), 2, owner, abort.signal);
    const third = vision.project(tilesOf(3, 1), 3, owner);
    abort.abort();
    await Promise.all([first, third]);
  });
  expect(batches).toEqual([1, 3]);
  const { project } = network;
  network.project = () => {
    throw new Error("no memory for these tiles");
  };
  try {
    const results = await Promise.allSettled([1, 2, 2].map((count) => vision.project(tilesOf(count, 1), count, owner)));
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  } finally {
    network.project = project;
  }
  owner.dispose();
});
