import { describe, expect, it } from "vitest";
import type { WeightType } from "../../src/kernels/packed.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { FEATURES, useDevice } from "../support/device.js";
import { checkProduct, kernelsOf, WEIGHT_TYPES } from "../support/products.js";

// Products of one row; those of GPUs are tested in matmul-gpu.node.test.ts.

function kernelFor({ broadcastLanes, onCPU }: AdapterFacts, type: WeightType): string | undefined {
  const quantized = type === "q8" || type === "q4";
  if (broadcastLanes) return quantized ? "matvecQuantized" : "matvecBroadcast";
  if (onCPU) return quantized ? "matvecBlockQuantized" : "matvecBlock";
  return undefined;
}

describe.each(FEATURES)("features: %s", (features) => {
  const held = useDevice({ features });

  describe.each(WEIGHT_TYPES)("weights in %s", (type) => {
    it.each([
      [1, 1],
      [32, 32],
      [200, 75],
      [97, 31],
      [256, 640],
    ])("a row of %i by %i columns", async (inner, columns) => {
      const { device } = held;
      const ran = await kernelsOf(device, () => checkProduct(device, 1, inner, columns, type));
      const kernel = kernelFor(device.facts, type);
      if (kernel) expect(ran).toContain(kernel);
    });
  });
});
