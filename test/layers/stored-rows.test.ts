import { expect, test } from "vitest";
import { CheckpointError } from "../../src/base/errors.js";
import type { TensorIndex } from "../../src/io/checkpoint/tensor-index.js";
import { Embedding } from "../../src/layers/embedding.js";
import { StoredRows } from "../../src/layers/stored-rows.js";
import { type StorageDtype, WeightLoader } from "../../src/layers/weights.js";
import { result, useDevice } from "../support/device.js";
import { floatTensor, indexOf } from "../support/layers.js";
import { packedMatrix } from "../support/packed.js";
import { normals } from "../support/random.js";

const held = useDevice();
const [VOCABULARY, WIDTH] = [77, 72];
const VALUES = normals(VOCABULARY * WIDTH, 1);
const IDS = Uint32Array.of(76, 0, 31, 32, 0, 40);

const plain = (values = VALUES): Promise<TensorIndex> => indexOf([floatTensor("weight", [VOCABULARY, WIDTH], values)]);
const packed = (damage?: (bytes: Uint8Array) => void): Promise<TensorIndex> =>
  packedMatrix(held.device, "weight", [VOCABULARY, WIDTH], VALUES, damage);

function rowsOf(index: TensorIndex, dtype: StorageDtype): StoredRows {
  const loader = new WeightLoader(held.device, index);
  const rows = new StoredRows(loader.root().storedAs(dtype), "weight", VOCABULARY, WIDTH);
  loader.check("checkpoint", () => false);
  return rows;
}

/** The same rows of a table that is on the device. */
async function resident(index: TensorIndex, dtype: StorageDtype): Promise<Float32Array> {
  const { device } = held;
  const loader = new WeightLoader(device, index);
  const arena = device.arena("table");
  try {
    const table = arena.run(() => new Embedding(loader.root().storedAs(dtype), VOCABULARY, WIDTH));
    await loader.load();
    return await result(device, () => table.forward(device.upload(IDS, [IDS.length], "ids")));
  } finally {
    arena.dispose();
  }
}

test.each(["f32", "f16", "bf16", "q8", "q4"] as const)(
  "rows in %s are those of a table on the device",
  async (dtype) => {
    const index = await plain();
    const rows = rowsOf(index, dtype);
    const read = await rows.read(IDS);
    expect(read.count).toBe(5);
    expect(await result(held.device, () => rows.forward(read))).toEqual(await resident(index, dtype));
  },
);

test.each(["auto", "q8"] as const)("rows of a packed checkpoint as %s", async (dtype) => {
  const index = await packed();
  const rows = rowsOf(index, dtype);
  await rows.prepare();
  const read = await rows.read(IDS);
  expect(await result(held.device, () => rows.forward(read))).toEqual(await resident(index, dtype));
});

test("a packed table of another hash is refused before its rows are used", async () => {
  const rows = rowsOf(
    await packed((bytes) => {
      bytes[bytes.length - 1]! ^= 1;
    }),
    "auto",
  );
  await expect(rows.prepare()).rejects.toThrow(CheckpointError);
});

test("a row that is not a number is refused by its number", async () => {
  const values = VALUES.slice();
  values[31 * WIDTH + 5] = Number.NaN;
  const rows = rowsOf(await plain(values), "q8");
  await expect(rows.read(Uint32Array.of(30, 31))).rejects.toThrow("row 31");
  expect((await rows.read(Uint32Array.of(30, 32))).count).toBe(2);
});

test("a dry run allocates what rows take", () => {
  const { device } = held;
  const rows = new StoredRows(new WeightLoader(device, indexNow).root(), "weight", VOCABULARY, WIDTH);
  const shape = device.scope(() => rows.recorded(3).shape);
  expect(shape).toEqual([3, WIDTH]);
});

const indexNow = await plain();
