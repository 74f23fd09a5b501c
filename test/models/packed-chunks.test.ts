import { describe, expect, test } from "vitest";
import { AbortedError, CheckpointError } from "../../src/base/errors.js";
import { Linear } from "../../src/layers/linear.js";
import { targetsOf } from "../../src/layers/packed-layers.js";
import { WeightLoader } from "../../src/layers/weights.js";
import { packedChunks } from "../../src/models/packed-chunks.js";
import { useDevice } from "../support/device.js";
import { floatTensor, indexOf } from "../support/layers.js";
import { packedBytes } from "../support/packed.js";
import { normals } from "../support/random.js";

const held = useDevice();
const INNER = 72;

/** The targets of a linear layer of two parts with these rows, and the tensors that it is made of. */
async function layerOf(rows: readonly [number, number], isWoven: boolean, type: "f32" | "f16" | "q8" | "q4") {
  const parts = rows.map((columns, i) => ({ name: `p${i}`, columns, ...(isWoven && { interleave: i as 0 | 1 }) }));
  const values = rows.map((columns, i) => normals(columns * INNER, 1 + i));
  const biases = rows.map((columns, i) => normals(columns, 9 + i));
  const index = await indexOf(
    parts.flatMap(({ name, columns }, i) => [
      floatTensor(`${name}.weight`, [columns, INNER], values[i]!),
      floatTensor(`${name}.bias`, [columns], biases[i]!),
    ]),
  );
  const loader = new WeightLoader(held.device, index);
  held.device.precompile(() => {
    new Linear(loader.root().storedAs(type), INNER, parts, { bias: true });
  });
  const [weight, bias] = targetsOf(loader.requests);
  const contents = parts.map(({ name, columns, ...part }) => ({ name, shape: [columns, INNER], ...part }));
  const truth = await packedBytes(held.device, { name: "both", type, inner: INNER, parts: contents, values });
  return { index, weight: weight!, bias: bias!, truth, biases };
}

async function collected(chunks: AsyncIterable<Uint8Array>): Promise<{ bytes: Uint8Array; count: number }> {
  const all: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of chunks) all.push(new Uint8Array(chunk));
  return { bytes: new Uint8Array(await new Blob(all).arrayBuffer()), count: all.length };
}

describe.each(["f32", "f16", "q8", "q4"] as const)("%s", (type) => {
  test.each([
    ["side by side", [70, 41], false],
    ["interleaved", [72, 72], true],
  ] as const)("slices of a matrix %s are what the kernel packs at once", async (_how, rows, isWoven) => {
    const { index, weight, truth } = await layerOf(rows, isWoven, type);
    const panels = Math.ceil((rows[0] + rows[1]) / 32);
    for (const [sliceBytes, count] of [
      [1, panels],
      [(2 * truth.length) / panels, Math.ceil(panels / 2)],
      [2 ** 24, 1],
    ] as const) {
      const got = await collected(packedChunks(weight, index, held.device, undefined, sliceBytes));
      expect(got.count).toBe(count);
      expect(got.bytes).toEqual(truth);
    }
    expect(held.device.pool.liveBytes).toBe(0);
  });
});

test("other tensors are f32, one after the other", async () => {
  const { index, bias, biases } = await layerOf([5, 9], false, "q4");
  const { bytes } = await collected(packedChunks(bias, index, held.device));
  expect([...new Float32Array(bytes.buffer)]).toEqual(biases.flatMap((values) => [...values]));
});

test("a weight that the type can't hold, and an abort, end it and free the panels", async () => {
  const index = await indexOf([floatTensor("p.weight", [4, 8], new Float32Array(32).fill(1e6))]);
  const loader = new WeightLoader(held.device, index);
  held.device.precompile(() => {
    new Linear(loader.root().storedAs("f16"), 8, [{ name: "p", columns: 4 }], { bias: false });
  });
  const [target] = targetsOf(loader.requests);
  const packing = collected(packedChunks(target!, index, held.device));
  await expect(packing).rejects.toThrow(CheckpointError);
  await expect(packing).rejects.toThrow("p.weight, row 0");
  const aborted = collected(packedChunks(target!, index, held.device, AbortSignal.abort()));
  await expect(aborted).rejects.toThrow(AbortedError);
  expect(held.device.pool.liveBytes).toBe(0);
});
