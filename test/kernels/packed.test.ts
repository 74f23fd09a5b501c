import { expect, it } from "vitest";
import { LimitError } from "../../src/base/errors.js";
import { heldMatrix } from "../../src/bench/reference/layers.js";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { matmul } from "../../src/kernels/matmul.js";
import { pack, packMatrix } from "../../src/kernels/pack.js";
import { PackedMatrix } from "../../src/kernels/packed.js";
import { narrowF16, widenF16 } from "../../src/runtime/dtype.js";
import { withBindings } from "../support/adapters.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { WEIGHT_TYPES } from "../support/products.js";
import { normals } from "../support/random.js";

const held = useDevice();

it.each([
  ["f32", 32],
  ["f16", 16],
  ["bf16", 16],
  ["q8", 8.5],
  ["q4", 5],
] as const)("%s takes %f bits a weight, padded to panels of 32 columns and groups of 32 elements", (type, bits) => {
  const { device } = held;
  device.scope(() => {
    const matrix = PackedMatrix.allocate(device, 70, 40, type, "W");
    expect([matrix.quads, matrix.groups, matrix.blocks.length]).toEqual([10, 2, 1]);
    expect(matrix.sizeBytes).toBe((96 * 64 * bits) / 8);
  });
});

it.each(WEIGHT_TYPES)("a matrix in %s is what was packed, in one block and in several", async (type) => {
  const { device } = held;
  const [columns, inner] = [150, 40];
  const w = normals(columns * inner, 3);
  const arena = device.arena("matrices");
  const [whole, parts] = [device, withBindings(device, 2 * 32 * 64 * 4)].map((own) =>
    arena.run(() => packMatrix(own, w, [columns, inner], "W", type)),
  );
  const values = await heldMatrix(whole!);
  if (type === "f32") {
    expect(values).toEqual(w);
    expect(parts!.blocks.map(({ firstColumn, columns }) => [firstColumn, columns])).toEqual([
      [0, 64],
      [64, 64],
      [128, 22],
    ]);
    expect(parts!.blocks.map(({ tensor }) => tensor.label)).toEqual(["W#0", "W#1", "W#2"]);
  }
  expect(await heldMatrix(parts!)).toEqual(values);
  arena.dispose();
});

it("a product computes every column of a matrix in several blocks, packed a few rows at a time", async () => {
  const { device } = held;
  const [rows, inner, columns] = [3, 24, 150];
  const x = normals(rows * inner, 1);
  const halves = narrowF16(normals(columns * inner, 9));
  const y = await result(device, () => {
    const matrix = PackedMatrix.allocate(withBindings(device, 2 * 32 * 32 * 2), columns, inner, "f16", "W");
    expect(matrix.blocks.length).toBe(3);
    const words = new Uint32Array(halves.buffer);
    for (const [first, count] of [
      [0, 70],
      [70, 80],
    ] as const) {
      const part = words.slice((first * inner) / 2, ((first + count) * inner) / 2);
      pack(device.upload(part, [part.length], "part"), "f16", count, matrix, first);
    }
    return matmul(device.upload(x, [rows, inner], "x"), matrix);
  });
  expectClose(y, reference(x, widenF16(halves), rows, inner, columns), "kernel");
});

it("refuses a matrix of which no panel fits a binding, with the bytes it needs", () => {
  const { device } = held;
  const bytes = 32 * 1024 * 4;
  device.scope(() =>
    expect(PackedMatrix.allocate(withBindings(device, bytes), 33, 1000, "f32", "W").blocks.length).toBe(2),
  );
  const allocate = () => PackedMatrix.allocate(withBindings(device, bytes - 1), 33, 1000, "f32", "W");
  expect(allocate).toThrow(LimitError);
  expect(allocate).toThrow(/matrix W \[33, 1000\]: expected 32 columns to fit 131071 bytes, got 131072 bytes/);
});
