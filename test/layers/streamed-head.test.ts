import { expect, test, vi } from "vitest";
import { AbortedError, CheckpointError } from "../../src/base/errors.js";
import type { TensorIndex } from "../../src/io/checkpoint/tensor-index.js";
import { Linear } from "../../src/layers/linear.js";
import { StreamedHead } from "../../src/layers/streamed-head.js";
import { type StorageDtype, WeightLoader } from "../../src/layers/weights.js";
import { result, useDevice } from "../support/device.js";
import { floatTensor, indexOf } from "../support/layers.js";
import { packedMatrix } from "../support/packed.js";
import { normals } from "../support/random.js";

const held = useDevice();
// Six panels of 32 columns, the last one not full: three blocks of two.
const [COLUMNS, INNER] = [180, 72];
const VALUES = normals(COLUMNS * INNER, 1);

const plain = (values = VALUES): Promise<TensorIndex> =>
  indexOf([floatTensor("head.weight", [COLUMNS, INNER], values)]);
const packed = (damage?: (bytes: Uint8Array) => void): Promise<TensorIndex> =>
  packedMatrix(held.device, "head.weight", [COLUMNS, INNER], VALUES, damage);

function headOf(index: TensorIndex, dtype: StorageDtype): { head: StreamedHead; loader: WeightLoader } {
  const loader = new WeightLoader(held.device, index);
  const head = new StreamedHead(loader.root().storedAs(dtype), "head.weight", COLUMNS, INNER);
  loader.check("checkpoint", () => false);
  return { head, loader };
}

/** The product with a head whose blocks pass through the device. */
async function streamed(head: StreamedHead, rows: number, signal?: AbortSignal): Promise<Float32Array> {
  const { device } = held;
  const owner = device.arena("product");
  try {
    const x = owner.run(() => device.upload(normals(rows * INNER, rows), [rows, INNER], "x"));
    return await (await head.forward(x, { owner, where: "testing", signal })).read();
  } finally {
    owner.dispose();
  }
}

async function resident(index: TensorIndex, dtype: StorageDtype, rows: number): Promise<Float32Array> {
  const { device } = held;
  const loader = new WeightLoader(device, index);
  const arena = device.arena("head");
  try {
    const parts = [{ name: "head", columns: COLUMNS }];
    const linear = arena.run(() => new Linear(loader.root().storedAs(dtype), INNER, parts, { bias: false }));
    await loader.load();
    return await result(device, () => linear.forward(device.upload(normals(rows * INNER, rows), [rows, INNER], "x")));
  } finally {
    arena.dispose();
  }
}

test.each(["f32", "bf16", "q8", "q4"] as const)("products in %s are those of a head on the device", async (dtype) => {
  const index = await plain();
  const { head } = headOf(index, dtype);
  for (const rows of [1, 3, 1]) expect(await streamed(head, rows)).toEqual(await resident(index, dtype, rows));
  await head.store.close();
});

test("the device has two of three blocks, and a product reads one and the first of the next product", async () => {
  const { head, loader } = headOf(await plain(), "q4");
  expect(head.store.layers.length).toBe(3);
  const slots = head.store.slots.flatMap(({ blocks }) => [...blocks]);
  expect(slots.length).toBe(2);
  await head.store.prepare();
  const read = vi.spyOn(loader, "loadLayer");
  await streamed(head, 1);
  await head.store.prepare();
  const firsts = read.mock.calls.map(([{ requests }]) => requests[0]!.rows!.first);
  expect(firsts).toEqual([128, 0]);
  await head.store.close();
});

test("blocks of a packed checkpoint are copied as they are, and its hash is checked once", async () => {
  const index = await packed();
  const { head } = headOf(index, "auto");
  const before = held.device.counters.dispatches;
  await head.store.prepare();
  expect(held.device.counters.dispatches).toBe(before);
  const truth = await resident(index, "auto", 1);
  const source = index.packed!.layers[0]!.source;
  const read = vi.spyOn(source, "read");
  for (let pass = 0; pass < 2; pass++) expect(await streamed(head, 1)).toEqual(truth);
  const layer = index.packed!.layers[0]!;
  for (const [, lengthBytes] of read.mock.calls) expect(lengthBytes).toBeLessThan(layer.lengthBytes);
  await head.store.close();
});

test("rows of a packed checkpoint in another type are packed again", async () => {
  const index = await packed();
  const { head } = headOf(index, "q8");
  expect(await streamed(head, 2)).toEqual(await resident(index, "q8", 2));
  await head.store.close();
});

test("a packed head of another hash is refused", async () => {
  const { head } = headOf(
    await packed((bytes) => {
      bytes[bytes.length - 1]! ^= 1;
    }),
    "auto",
  );
  await expect(head.store.prepare()).rejects.toThrow(CheckpointError);
  await head.store.close();
});

test("a block that could not be read is read again by the next product, and an abort ends one", async () => {
  const index = await plain();
  const { head } = headOf(index, "q8");
  const truth = await streamed(head, 1);
  const { read } = index;
  let faults = 1;
  index.read = (...range) => {
    if (range[1] === 128 * INNER * 4 && faults-- > 0) return Promise.reject(new Error("a bad sector"));
    return read.apply(index, range);
  };
  await expect(streamed(head, 1)).rejects.toThrow("a bad sector");
  expect(await streamed(head, 1)).toEqual(truth);
  await expect(streamed(head, 1, AbortSignal.abort())).rejects.toThrow(AbortedError);
  expect(await streamed(head, 1)).toEqual(truth);
  await head.store.close();
});
