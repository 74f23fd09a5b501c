import { heldMatrix } from "../../src/bench/reference/layers.js";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { rmsNorm } from "../../src/bench/reference/norm.js";
import { swiglu } from "../../src/bench/reference/swiglu.js";
import { matmul } from "../../src/kernels/matmul.js";
import { packMatrix } from "../../src/kernels/pack.js";
import type { WeightType } from "../../src/kernels/packed.js";
import type { Device } from "../../src/runtime/device.js";
import { expectClose } from "./compare.js";
import { result } from "./device.js";
import { normals } from "./random.js";

export const WEIGHT_TYPES: readonly WeightType[] = ["f32", "f16", "bf16", "q8", "q4"];

/** Multiplies random rows by random weights and compares with the product of the weights as they are stored. */
export async function checkProduct(
  device: Device,
  rows: number,
  inner: number,
  columns: number,
  type: WeightType,
): Promise<void> {
  const [x, w] = [normals(rows * inner, 1), normals(columns * inner, 2)];
  const arena = device.arena("product");
  try {
    const [y, weights] = arena.run(() => {
      const matrix = packMatrix(device, w, [columns, inner], "W", type);
      return [matmul(device.upload(x, [rows, inner], "x"), matrix), matrix] as const;
    });
    expectClose(await y.read(), reference(x, await heldMatrix(weights), rows, inner, columns), "kernel");
  } finally {
    arena.dispose();
  }
}

/** The same with a bias, GELU and a residual that repeats every four rows. */
export async function checkFused(
  device: Device,
  rows: number,
  inner: number,
  columns: number,
  type: WeightType,
): Promise<void> {
  const [x, w, bias] = [normals(rows * inner, 1, 3), normals(columns * inner, 2), normals(columns, 3)];
  const residual = normals(4 * columns, 4);
  const arena = device.arena("product");
  try {
    const [y, weights] = arena.run(() => {
      const matrix = packMatrix(device, w, [columns, inner], "W", type);
      const epilogue = {
        bias: device.upload(bias, [columns], "bias"),
        activation: "gelu_tanh" as const,
        residual: device.upload(residual, [4, columns], "residual"),
      };
      return [matmul(device.upload(x, [rows, inner], "x"), matrix, epilogue), matrix] as const;
    });
    const fused = { bias, residual, activation: "gelu_tanh" } as const;
    expectClose(await y.read(), reference(x, await heldMatrix(weights), rows, inner, columns, fused), "kernel");
  } finally {
    arena.dispose();
  }
}

/** The same with an RMSNorm before and SwiGLU after. */
export async function checkGated(device: Device, rows: number, columns: number): Promise<void> {
  const inner = 76;
  const [x, w, weight] = [normals(rows * inner, 1), normals(columns * inner, 2), normals(inner, 3)];
  const y = await result(device, () =>
    matmul(device.upload(x, [rows, inner], "x"), packMatrix(device, w, [columns, inner], "W"), {
      norm: { weight: device.upload(weight, [inner], "weight"), epsilon: 1e-6 },
      swiglu: true,
    }),
  );
  expectClose(y, swiglu(reference(rmsNorm(x, weight, 1e-6), w, rows, inner, columns), rows), "kernel");
}
