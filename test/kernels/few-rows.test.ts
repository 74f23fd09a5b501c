import { describe, expect, test } from "vitest";
import { matmul } from "../../src/kernels/matmul.js";
import { packMatrix } from "../../src/kernels/pack.js";
import type { WeightType } from "../../src/kernels/packed.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import type { Device } from "../../src/runtime/device.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { WEIGHT_TYPES } from "../support/products.js";
import { normals } from "../support/random.js";

// A row of a product has the same bits whatever rows are beside it, up to 16 of them: what a sequence that decodes among others relies on.

const EPILOGUES = ["plain", "residual and bias", "norm", "norm and SwiGLU"] as const;

/** The bits of the products of some rows, one after the other. */
async function productOf(
  device: Device,
  type: WeightType,
  epilogue: (typeof EPILOGUES)[number],
  first: number,
  rows: number,
): Promise<Uint32Array> {
  const [inner, columns] = [208, 144];
  const x = normals(16 * inner, 1).subarray(first * inner, (first + rows) * inner);
  const residual = normals(16 * columns, 4).subarray(first * columns, (first + rows) * columns);
  const arena = device.arena("product");
  try {
    const y = arena.run(() => {
      const weights = packMatrix(device, normals(columns * inner, 2), [columns, inner], "W", type);
      const norm = { weight: device.upload(normals(inner, 3), [inner], "weight"), epsilon: 1e-6 };
      const rest =
        epilogue === "residual and bias"
          ? {
              bias: device.upload(normals(columns, 5), [columns], "bias"),
              residual: device.upload(residual, [rows, columns], "residual"),
            }
          : { ...(epilogue !== "plain" && { norm }), swiglu: epilogue === "norm and SwiGLU" };
      return matmul(device.upload(x, [rows, inner], "x"), weights, rest);
    });
    return await y.read("u32");
  } finally {
    arena.dispose();
  }
}

const SOME_ROWS: readonly [first: number, rows: number][] = [
  [3, 2],
  [0, 3],
  [5, 7],
  [8, 8],
  [0, 16],
];

function testOn(
  facts: Partial<AdapterFacts>,
  types: readonly WeightType[],
  epilogues: readonly (typeof EPILOGUES)[number][] = EPILOGUES,
  parts = SOME_ROWS,
): void {
  const held = useDevice();
  useFacts(held, facts);
  describe.each(types)("weights in %s", (type) => {
    test.each(epilogues)("%s", async (epilogue) => {
      const alone: number[][] = [];
      for (let row = 0; row < 16; row++) alone.push([...(await productOf(held.device, type, epilogue, row, 1))]);
      for (const [first, rows] of parts) {
        const together = await productOf(held.device, type, epilogue, first, rows);
        expect([...together], `${rows} rows`).toEqual(alone.slice(first, first + rows).flat());
      }
    });
  });
}

describe("this adapter's kernels", () => testOn({}, WEIGHT_TYPES));
// Software adapters compile these slowly; test/kernels/matvec-rows.test.ts has all types.
describe("GPUs' kernels", () =>
  testOn(ADAPTERS["GPU, no subgroups"]!, ["f16", "q4"], ["residual and bias", "norm and SwiGLU"], [[5, 7]]));
// With quantised weights there, several rows have other sums than one.
describe("kernels of CPU adapters without subgroups", () =>
  testOn(ADAPTERS["CPU, no subgroups"]!, ["f32", "f16", "bf16"]));
