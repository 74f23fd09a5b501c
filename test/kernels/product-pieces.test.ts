import { afterEach, describe, expect, test } from "vitest";
import { matmul } from "../../src/kernels/matmul.js";
import { packMatrix } from "../../src/kernels/pack.js";
import { PackedMatrix, type WeightType } from "../../src/kernels/packed.js";
import { productPieces } from "../../src/kernels/product-pieces.js";
import { SUBMISSION_MS, WorkBudget } from "../../src/runtime/work-budget.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();

/** A budget in which so many FLOPs are a submission. */
function budgetOf(flops: number): WorkBudget {
  const budget = new WorkBudget(false, async () => {});
  budget.rates = { flops: flops / SUBMISSION_MS, bytes: 1e12 };
  return budget;
}

test("a product that fits is the matrix's blocks, one that does not is whole panels of them", () => {
  const { device } = held;
  device.scope(() => {
    const weights = PackedMatrix.allocate(device, 1000, 64, "f32", "W");
    const whole = productPieces(weights, 100, 64, budgetOf(2 * 100 * 1000 * 64));
    expect(whole.map(({ block }) => block)).toEqual([weights.blocks[0]]);
    const pieces = productPieces(weights, 100, 64, budgetOf(2 * 100 * 1000 * 64 - 1));
    expect(pieces.map(({ block }) => [block.firstColumn, block.columns])).toEqual([
      [0, 960],
      [960, 40],
    ]);
    expect(pieces.reduce((sum, { work }) => sum + work.flops!, 0)).toBe(2 * 100 * 1000 * 64);
    // Never less than a workgroup's columns, however little fits.
    const least = productPieces(weights, 100, 128, budgetOf(1));
    expect(least.map(({ block }) => block.columns)).toEqual([128, 128, 128, 128, 128, 128, 128, 104]);
  });
});

test("parts begin where bindings may: four panels of q8 groups, two of q4", () => {
  const { device } = held;
  device.scope(() => {
    for (const [type, columns] of [
      ["q8", 128],
      ["q4", 64],
      ["f16", 32],
    ] as const) {
      const weights = PackedMatrix.allocate(device, 256, 32, type, "W");
      for (const { block } of productPieces(weights, 1, 32, budgetOf(1))) {
        expect(block.columns).toBe(columns);
        expect(block.tensor.offsetBytes % 256).toBe(0);
      }
    }
  });
});

test("software adapters do not cut", () => {
  const { device } = held;
  device.scope(() => {
    const weights = PackedMatrix.allocate(device, 4096, 64, "f32", "W");
    const budget = new WorkBudget(true, async () => {});
    expect(productPieces(weights, 1e9, 64, budget)).toHaveLength(1);
  });
});

describe.each<[string, WeightType, number, "residual" | "gated"]>([
  ["GPU, no subgroups", "f32", 40, "residual"],
  ["GPU, no subgroups", "q8", 5, "gated"],
  // A kernel that compiles quickly, for the other types.
  ...(["f16", "q8", "q4"] as const).flatMap((type) => [
    ["CPU, no subgroups", type, 40, "residual"] as [string, WeightType, number, "residual"],
    ["CPU, no subgroups", type, 40, "gated"] as [string, WeightType, number, "gated"],
  ]),
])("%s, weights in %s, %d rows, %s", (adapter, type, rows, epilogue) => {
  const ran = useFacts(held, ADAPTERS[adapter]!);
  const { rates } = new WorkBudget(true, async () => {});
  afterEach(() => {
    held.device.budget.rates = rates;
  });

  test("pieces are bit by bit the whole", async () => {
    const { device } = held;
    const [inner, columns] = [72, 416];
    const product = () =>
      result(device, () => {
        const matrix = packMatrix(device, normals(columns * inner, 2), [columns, inner], "W", type);
        const x = device.upload(normals(rows * inner, 1), [rows, inner], "x");
        if (epilogue === "gated") return matmul(x, matrix, { swiglu: true });
        return matmul(x, matrix, {
          bias: device.upload(normals(columns, 3), [columns], "bias"),
          residual: device.upload(normals(3 * columns, 4), [3, columns], "residual"),
          activation: "gelu_tanh",
        });
      });
    const whole = await product();
    const before = ran.length;
    device.budget.rates = { flops: 1, bytes: 1e12 };
    const pieces = await product();
    expect(ran.slice(before).filter((name) => name.startsWith("mat")).length).toBeGreaterThan(3);
    expect(new Uint32Array(pieces.buffer)).toEqual(new Uint32Array(whole.buffer));
  });
});
