import { describe, expect, test } from "vitest";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { quantizedActivations } from "../../src/bench/reference/quantize-activations.js";
import { matmul } from "../../src/kernels/matmul.js";
import { packMatrix } from "../../src/kernels/pack.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { result, useDevice } from "../support/device.js";
import { checkFused, checkGated, checkProduct } from "../support/products.js";
import { normals } from "../support/random.js";

// Products of activations in 8 bits, against float64 on what 8 bits keep of them and of the weights.

const held = useDevice();
const FACTS = ADAPTERS["GPU, activations in 8 bits"]!;

describe("where they are asked for", () => {
  const ran = useFacts(held, FACTS);

  describe.each(["q8", "q4"] as const)("weights in %s", (type) => {
    test.each([
      [17, 32, 32],
      [64, 64, 64],
      [65, 200, 75],
      [130, 97, 161],
    ])("%i rows of %i by %i columns", async (rows, inner, columns) => {
      await checkProduct(held.device, rows, inner, columns, type, quantizedActivations);
      expect(ran).toContain("matmulDot4");
    });
    test("bias, GELU and residual", () => checkFused(held.device, 70, 96, 64, type, quantizedActivations));
  });

  test("other types and few rows are multiplied in f32", async () => {
    await checkProduct(held.device, 17, 32, 32, "f16");
    await checkGated(held.device, 17, 208);
    await checkProduct(held.device, 16, 32, 32, "q8");
    expect(ran).not.toContain("matmulDot4");
  });
});

describe.each([
  ["without packed dot products", { ...FACTS, packedDots: false }],
  ["where they are not asked for", { ...FACTS, tuning: {} }],
])("%s", (_name, facts) => {
  const ran = useFacts(held, facts);
  test("activations stay in f32", async () => {
    await checkProduct(held.device, 17, 32, 32, "q8");
    expect(ran).toContain("matmulTile");
    expect(ran).not.toContain("matmulDot4");
  });
});

describe("errors against exact activations", () => {
  useFacts(held, FACTS);
  const [rows, inner, columns] = [64, 896, 64];
  test.each([
    ["normal numbers", 1, 0.008],
    ["one channel in 32 thirty times as large, as in transformers", 30, 0.016],
  ])("of %s", async (_name, outlier, most) => {
    const { device } = held;
    const x = normals(rows * inner, 1).map((v, i) => (i % 32 === 5 ? v * outlier : v));
    const w = normals(columns * inner, 2);
    const product = (): Promise<Float32Array> =>
      result(device, () =>
        matmul(device.upload(x, [rows, inner], "x"), packMatrix(device, w, [columns, inner], "W", "q8"), {}),
      );
    const y = await product();
    const truth = reference(x, w, rows, inner, columns);
    const largest = truth.reduce((most, e) => Math.max(most, Math.abs(e)), 0);
    const error = y.reduce((most, e, i) => Math.max(most, Math.abs(e - truth[i]!)), 0) / largest;
    expect(error).toBeLessThan(most);
  });
});
