import { heldMatrix } from "../../src/bench/reference/layers.js";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { matmul } from "../../src/kernels/matmul.js";
import { packMatrix } from "../../src/kernels/pack.js";
import type { WeightType } from "../../src/kernels/packed.js";
import type { Device } from "../../src/runtime/device.js";
import { expectClose } from "./compare.js";
import { normals } from "./random.js";

export const WEIGHT_TYPES: readonly WeightType[] = ["f32", "f16", "bf16", "q8", "q4"];

/** Names of the kernels that `work` runs. */
export async function kernelsOf(device: Device, work: () => Promise<void>): Promise<string[]> {
  const names: string[] = [];
  device.run = (kernel, ...others) => {
    names.push(kernel.name);
    Object.getPrototypeOf(device).run.call(device, kernel, ...others);
  };
  try {
    await work();
  } finally {
    Reflect.deleteProperty(device, "run");
  }
  return names;
}

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
