import { describe, expect, it } from "vitest";
import { matmul } from "../../src/kernels/matmul.js";
import { PackedMatrix } from "../../src/kernels/packed.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { FEATURES, useDevice } from "../support/device.js";
import { checkProduct, kernelsOf, WEIGHT_TYPES } from "../support/products.js";

// Products of several rows; those of GPUs are tested in matmul-gpu.node.test.ts.

const SIZES = [
  [2, 3, 5],
  [7, 8, 31],
  [8, 16, 32],
  [9, 200, 75],
  [13, 97, 61],
  [17, 1, 3],
  [37, 144, 304],
  [5, 588, 144],
  [3, 1152, 72],
] as const;

function kernelFor({ broadcastLanes, onCPU }: AdapterFacts): string | undefined {
  if (broadcastLanes) return broadcastLanes === 4 ? "matmulBroadcast4" : "matmulBroadcast";
  return onCPU ? "matmulBlock" : undefined;
}

describe.each(FEATURES)("features: %s", (features) => {
  const held = useDevice({ features });

  describe.each(WEIGHT_TYPES)("weights in %s", (type) => {
    it.each(SIZES)("%i rows of %i by %i columns", async (rows, inner, columns) => {
      const { device } = held;
      const ran = await kernelsOf(device, () => checkProduct(device, rows, inner, columns, type));
      const kernel = kernelFor(device.facts);
      if (kernel) expect(ran).toContain(kernel);
    });
  });
});

describe("one device", () => {
  const held = useDevice();

  it("refuses rows of another width than the weights", () => {
    const { device } = held;
    device.scope(() => {
      const matrix = PackedMatrix.allocate(device, 8, 16, "f32", "W");
      const x = device.empty([2, 20], "f32", "x");
      expect(() => matmul(x, matrix)).toThrow(/matmul W, tensor x: expected rows of 16, got \[2, 20\]/);
    });
  });
});
