import { describe, expect, test } from "vitest";
import { AbortedError, CheckpointError } from "../../src/base/errors.js";
import { heldMatrix } from "../../src/bench/reference/layers.js";
import { Linear } from "../../src/layers/linear.js";
import { type LoadProgress, type StorageDtype, WeightLoader } from "../../src/layers/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { withBindings } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { floatTensor, indexOf, indexOfFile } from "../support/layers.js";
import { packedFile } from "../support/packed.js";
import { normals } from "../support/random.js";

const held = useDevice();
const [ROWS, INNER] = [80, 72];
const NAMES = ["gate", "up"] as const;
const VALUES = new Map(NAMES.map((name, i) => [name, { w: normals(ROWS * INNER, 1 + i), b: normals(ROWS, 3 + i) }]));

/** The same two projections, side by side or interleaved: as they were stored, and packed. */
const plain = () =>
  indexOf(
    NAMES.flatMap((name) => [
      floatTensor(`l.${name}.weight`, [ROWS, INNER], VALUES.get(name)!.w),
      floatTensor(`l.${name}.bias`, [ROWS], VALUES.get(name)!.b),
    ]),
  );
const file = (isWoven: boolean) =>
  packedFile(held.device, [
    {
      name: "l.gate+up",
      type: "q4",
      inner: INNER,
      parts: NAMES.map((name, i) => {
        const part = { name: `l.${name}.weight`, shape: [ROWS, INNER] };
        return isWoven ? { ...part, interleave: i as 0 | 1 } : part;
      }),
      values: NAMES.map((name) => VALUES.get(name)!.w),
    },
    {
      name: "l.gate+up.bias",
      type: "f32",
      parts: NAMES.map((name) => ({ name: `l.${name}.bias`, shape: [ROWS] })),
      values: NAMES.map((name) => VALUES.get(name)!.b),
    },
  ]);

interface Loaded {
  weight: Float32Array;
  bias: Float32Array;
  dispatches: number;
  blocks: number;
  progress: LoadProgress[];
}

/** Loads both projections as one layer. */
async function load(
  index: Awaited<ReturnType<typeof plain>>,
  isWoven: boolean,
  dtype: StorageDtype = "q4",
  device: Device = held.device,
  signal?: AbortSignal,
): Promise<Loaded> {
  const loader = new WeightLoader(device, index);
  const arena = held.device.arena("layer");
  try {
    const parts = NAMES.map((name, i) => ({ name, columns: ROWS, ...(isWoven && { interleave: i as 0 | 1 }) }));
    const weights = loader.root().at("l").storedAs(dtype);
    const layer = arena.run(() => new Linear(weights, INNER, parts, { bias: true }));
    loader.check("layer", () => false);
    const before = held.device.counters.dispatches;
    const progress: LoadProgress[] = [];
    await loader.load({ signal, onProgress: (p) => progress.push(p) });
    const dispatches = held.device.counters.dispatches - before;
    const { weight, bias } = layer;
    const { length } = weight.blocks;
    return { weight: await heldMatrix(weight), bias: await bias!.read(), dispatches, blocks: length, progress };
  } finally {
    arena.dispose();
    held.device.pool.trim();
  }
}

describe.each([true, false])("interleaved: %s", (isWoven) => {
  test("a layer is copied as it is, without a dispatch", async () => {
    const truth = await load(await plain(), isWoven);
    expect(truth.dispatches).toBeGreaterThan(0);
    const index = await indexOfFile(await file(isWoven));
    const got = await load(index, isWoven, "auto");
    expect(got.dispatches).toBe(0);
    expect([got.weight, got.bias]).toEqual([truth.weight, truth.bias]);
    const { lengthBytes, name } = index.packed!.layers[0]!;
    expect(got.progress).toEqual([{ loadedBytes: lengthBytes, totalBytes: lengthBytes, tensor: name }]);
  });

  test("also where the adapter's limits cut the matrix into blocks", async () => {
    const panelBytes = Math.ceil(INNER / 32) * 640;
    const device = withBindings(held.device, 2 * panelBytes);
    const got = await load(await indexOfFile(await file(isWoven)), isWoven, "q4", device);
    expect([got.blocks, got.dispatches]).toEqual([3, 0]);
    expect(got.weight).toEqual((await load(await plain(), isWoven)).weight);
  });

  test("another storage dtype is packed again from what the panels hold", async () => {
    const q4 = await load(await plain(), isWoven);
    const got = await load(await indexOfFile(await file(isWoven)), isWoven, "f32");
    expect(got.dispatches).toBeGreaterThan(0);
    expect([got.weight, got.bias]).toEqual([q4.weight, q4.bias]);
  });
});

test("parts in another arrangement are packed again", async () => {
  const got = await load(await indexOfFile(await file(true)), false, "q4");
  expect(got.dispatches).toBeGreaterThan(0);
  expect(got.weight).toEqual((await load(await plain(), false)).weight);
});

test.each(["q4", "f32"] as const)("a byte that changed is an error that names file and layer, as %s", async (dtype) => {
  const bytes = await file(true);
  bytes[bytes.length - 700]! ^= 1;
  const loading = load(await indexOfFile(bytes), true, dtype);
  await expect(loading).rejects.toThrow(CheckpointError);
  await expect(loading).rejects.toThrow(/model\.safetensors: layer layers\.0: .*damaged.*download or copy/s);
});

test("an abort ends the loading", async () => {
  const loading = load(await indexOfFile(await file(true)), true, "q4", held.device, AbortSignal.abort());
  await expect(loading).rejects.toThrow(AbortedError);
});
