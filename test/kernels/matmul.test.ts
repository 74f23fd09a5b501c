import { describe, expect, it, test, vi } from "vitest";
import { matmul } from "../../src/kernels/matmul.js";
import { PackedMatrix, type WeightType } from "../../src/kernels/packed.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { checkProduct, WEIGHT_TYPES } from "../support/products.js";

// The kernel that an adapter's facts choose; each kernel has a file of its own.

const held = useDevice();

describe.each(WEIGHT_TYPES)("as this adapter computes it, weights in %s", (type) => {
  it.each([
    [1, 97, 31],
    [7, 8, 31],
    [37, 144, 304],
    [5, 588, 144],
  ])("%i rows of %i by %i columns", (rows, inner, columns) => checkProduct(held.device, rows, inner, columns, type));
});

describe.each<[string, readonly [rows: number, type: WeightType, ...kernels: string[]][]]>([
  [
    "CPU, subgroups of 4",
    [
      [1, "bf16", "matvecBroadcast"],
      [1, "q4", "matvecQuantized"],
      [2, "q4", "fewRowsQuantized"],
      [17, "q4", "matmulBroadcast4"],
    ],
  ],
  [
    "CPU, subgroups of 8",
    [
      [1, "f16", "matvecBroadcast"],
      [1, "q8", "matvecQuantized"],
      [16, "f16", "fewRowsBroadcast"],
      [17, "f16", "matmulBroadcast"],
    ],
  ],
  [
    "CPU, no subgroups",
    [
      [1, "f32", "matvecBlock"],
      [1, "q8", "matvecBlockQuantized"],
      [2, "q8", "matmulBlock"],
    ],
  ],
  [
    "GPU, no subgroups",
    [
      [1, "q4", "matvec"],
      [16, "f32", "matvecRows"],
      [17, "f32", "matmulTile"],
    ],
  ],
  [
    "GPU, matrices 8×16×16 of f16",
    [
      [16, "q4", "matvecRows"],
      [17, "q4", "rowScales", "matmulSubgroupMatrix"],
    ],
  ],
  ["GPU, matrices 8×8×8 of f32", [[17, "q4", "matmulSubgroupMatrix"]]],
])("%s", (adapter, chosen) => {
  useFacts(held, ADAPTERS[adapter]!);

  test.each(chosen)("%i rows by weights in %s: %s", (rows, type, ...kernels) => {
    const { device } = held;
    const run = vi.spyOn(device, "run").mockImplementation(() => {});
    device.scope(() => {
      matmul(device.empty([rows, 64], "f32", "x"), PackedMatrix.allocate(device, 96, 64, type, "W"));
    });
    expect(run.mock.calls.map(([{ name }]) => name)).toEqual(kernels);
    run.mockRestore();
  });
});

it("refuses rows of another width than the weights", () => {
  const { device } = held;
  device.scope(() => {
    const matrix = PackedMatrix.allocate(device, 8, 16, "f32", "W");
    const x = device.empty([2, 20], "f32", "x");
    expect(() => matmul(x, matrix)).toThrow(/matmul W, tensor x: expected rows of 16, got \[2, 20\]/);
  });
});
