import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { attention as attentionReference } from "../../src/bench/reference/attention.js";
import { heldMatrix } from "../../src/bench/reference/layers.js";
import { matmul as matmulReference } from "../../src/bench/reference/matmul.js";
import { layerNorm as layerNormReference, rmsNorm as rmsNormReference } from "../../src/bench/reference/norm.js";
import { swiglu as swigluReference } from "../../src/bench/reference/swiglu.js";
import { normals } from "../../src/bench/synthetic.js";
import { attention } from "../../src/kernels/attention.js";
import { matmul } from "../../src/kernels/matmul.js";
import { layerNorm, rmsNorm } from "../../src/kernels/norm.js";
import { packMatrix } from "../../src/kernels/pack.js";
import type { WeightType } from "../../src/kernels/packed.js";
import {
  KV_SPLIT_KEYS,
  keysClass,
  MATMUL_TILE,
  MATVEC_BLOCKS,
  MATVEC_SLICES,
  NORM_LANES,
  rowsClass,
  TUNABLES,
  widthClass,
} from "../../src/kernels/tunables.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { ADAPTERS, forge } from "../support/adapters.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";

// Whatever tuning chooses is right. GPUs' kernels are computed by the adapter of the tests.

const held = useDevice();
let own: AdapterFacts;
let texts: Set<string>;
beforeEach(() => {
  const { device } = held;
  own = device.facts;
  texts = new Set();
  device.run = (kernel, ...others) => {
    texts.add(kernel.text);
    Object.getPrototypeOf(device).run.call(device, kernel, ...others);
  };
});
afterEach(() => {
  forge(held.device, own);
  Reflect.deleteProperty(held.device, "run");
});

/** Makes the device look like a GPU, or like itself, where a choice was made. */
function choose(name: string, value: number | string, gpu: boolean): void {
  forge(held.device, { ...(gpu && ADAPTERS["GPU, no subgroups"]), tuning: { [name]: value } });
}

/** Products with an epilogue, and with norm and SwiGLU, of awkward sizes. */
async function checkProducts(rows: number, types: readonly WeightType[] = ["f32", "q4"]): Promise<void> {
  const { device } = held;
  const [inner, columns, width] = [100, 97, 96];
  const [x, bias, residual] = [normals(rows * inner, 1), normals(columns, 2), normals(rows * columns, 3)];
  const norm = normals(inner, 4);
  for (const type of types) {
    const weights = packMatrix(device, normals(inner * columns, 5, 0.1), [columns, inner], "w", type);
    const y = await result(device, () =>
      matmul(device.upload(x, [rows, inner], "x"), weights, {
        bias: device.upload(bias, [columns], "bias"),
        residual: device.upload(residual, [rows, columns], "residual"),
      }),
    );
    const truth = matmulReference(x, await heldMatrix(weights), rows, inner, columns, { bias, residual });
    expectClose(y, truth, "kernel");
    const pairs = packMatrix(device, normals(inner * width, 6, 0.1), [width, inner], "gate and up", type);
    const z = await result(device, () =>
      matmul(device.upload(x, [rows, inner], "x"), pairs, {
        norm: { weight: device.upload(norm, [inner], "norm"), epsilon: 1e-6 },
        swiglu: true,
      }),
    );
    const normed = rmsNormReference(x, norm, 1e-6);
    expectClose(
      z,
      swigluReference(matmulReference(normed, await heldMatrix(pairs), rows, inner, width), rows),
      "kernel",
    );
    for (const { tensor } of [...weights.blocks, ...pairs.blocks]) tensor.dispose();
  }
}

describe.each(MATVEC_BLOCKS.values)("blocks of columns in a product of one row: %s", (value) => {
  test("as this adapter computes it", async () => {
    choose(MATVEC_BLOCKS.name, value, false);
    await checkProducts(1);
  });
});

test.each(MATVEC_SLICES.values)("slices of the inner dimension on GPUs: %s", async (value) => {
  choose(MATVEC_SLICES.name, value, true);
  await checkProducts(1);
  // A narrow matrix has the most.
  expect([...texts].join()).toContain(`const SLICES = ${value === "auto" ? 32 : value}u;`);
});

test.each(MATMUL_TILE.values)("tile of a product of many rows on GPUs: %s", async (value) => {
  choose(MATMUL_TILE.name, value, true);
  // The types share the loop, and compiling it takes seconds.
  await checkProducts(67, ["q4"]);
  expect([...texts].join()).toContain(`const COLUMNS = ${value === "large" ? 128 : 64}u;`);
});

test.each(KV_SPLIT_KEYS.values)("keys per KV split on GPUs: %i", async (value) => {
  const { device } = held;
  choose(KV_SPLIT_KEYS.name, value, true);
  for (const keys of [1, value, value + 1, 1500]) {
    const sizes = { batches: 1, queries: 1, keys, heads: 4, keyValueHeads: 2, headSize: 16 };
    const [q, k, v] = [normals(64, 1), normals(keys * 32, 2), normals(keys * 32, 3)];
    const y = await result(device, () => {
      const [a, b, c] = [q, k, v].map((numbers, i) => ({
        tensor: device.upload(numbers, [numbers.length / (i ? 32 : 64), i ? 32 : 64], "x"),
        first: 0,
      }));
      return attention(a!, b!, c!, sizes, "y");
    });
    expectClose(y, attentionReference(q, k, v, sizes), "kernel");
  }
});

test.each(NORM_LANES.values)("lanes of a row of a norm: %s", async (lanes) => {
  const { device } = held;
  choose(NORM_LANES.name, lanes, false);
  for (const width of [1, 33, 257]) {
    const [x, w, b] = [normals(3 * width, 1), normals(width, 2), normals(width, 3)];
    const upload = (numbers: Float32Array, shape: number[]) => device.upload(numbers, shape, "x");
    const root = await result(device, () => rmsNorm(upload(x, [3, width]), upload(w, [width]), 1e-6));
    expectClose(root, rmsNormReference(x, w, 1e-6), "kernel");
    const mean = await result(device, () =>
      layerNorm(upload(x, [3, width]), upload(w, [width]), upload(b, [width]), 1e-6),
    );
    expectClose(mean, layerNormReference(x, w, b, 1e-6), "kernel");
  }
  expect([...texts].join()).toContain(`const LANES = ${lanes === "auto" ? 32 : lanes}u;`);
});

test("a value of a class of shapes is for its shapes only", async () => {
  const { device } = held;
  const width = 32;
  const norm = async (rows: number) => {
    texts.clear();
    const x = normals(rows * width, 1);
    const y = await result(device, () =>
      rmsNorm(device.upload(x, [rows, width], "x"), device.upload(x.subarray(0, width), [width], "w"), 1e-6),
    );
    expectClose(y, rmsNormReference(x, x.subarray(0, width), 1e-6), "kernel");
    return [...texts].join();
  };
  choose("norm.lanes.few", 128, false);
  expect(await norm(2)).toContain("const LANES = 128u;");
  expect(await norm(300)).toContain("const LANES = 32u;");
  choose("norm.lanes.many", 64, false);
  expect(await norm(2)).toContain("const LANES = 32u;");
  expect(await norm(300)).toContain("const LANES = 64u;");
  choose("matvec.slices.wide", 8, true);
  await checkProducts(1);
  expect([...texts].join()).toContain("const SLICES = 32u;");
  texts.clear();
  choose("matvec.slices.narrow", 8, true);
  await checkProducts(1);
  expect([...texts].join()).toContain("const SLICES = 8u;");
  expect([...texts].join()).not.toContain("const SLICES = 32u;");
});

test("every class that a shape can have is one of its parameter's", () => {
  const classes = TUNABLES.flatMap((tunable) => tunable.classes ?? []);
  for (const size of [1, 255, 256, 4095, 4096, 32767, 32768, 2 ** 20]) {
    for (const own of [widthClass(size), rowsClass(size), keysClass(size)]) expect(classes).toContain(own);
  }
  expect([4095, 4096, 32767, 32768].map(widthClass)).toEqual(["narrow", "middle", "middle", "wide"]);
  expect([255, 256].map(rowsClass)).toEqual(["few", "many"]);
  expect([4095, 4096].map(keysClass)).toEqual(["short", "long"]);
});
