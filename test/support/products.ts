import { describe, expect, test } from "vitest";
import { heldMatrix } from "../../src/bench/reference/layers.js";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { rmsNorm } from "../../src/bench/reference/norm.js";
import { swiglu } from "../../src/bench/reference/swiglu.js";
import { matmul } from "../../src/kernels/matmul.js";
import { packMatrix } from "../../src/kernels/pack.js";
import type { WeightType } from "../../src/kernels/packed.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import type { Device } from "../../src/runtime/device.js";
import { useFacts } from "./adapters.js";
import { expectClose } from "./compare.js";
import { result, useDevice } from "./device.js";
import { normals } from "./random.js";

export const WEIGHT_TYPES: readonly WeightType[] = ["f32", "f16", "bf16", "q8", "q4"];

/** Multiplies random rows by random weights and compares with the product of the weights as they are stored. */
export function checkProduct(
  device: Device,
  rows: number,
  inner: number,
  columns: number,
  type: WeightType,
  kept?: Product["kept"],
): Promise<void> {
  return check(device, { rows, inner, columns, type, x: normals(rows * inner, 1), kept });
}

/** The same with a bias, GELU and a residual that repeats every four rows. */
export function checkFused(
  device: Device,
  rows: number,
  inner: number,
  columns: number,
  type: WeightType,
  kept?: Product["kept"],
): Promise<void> {
  const [bias, residual] = [normals(columns, 3), normals(4 * columns, 4)];
  const fused = { bias, residual, activation: "gelu_tanh" } as const;
  return check(device, { rows, inner, columns, type, x: normals(rows * inner, 1, 3), fused, kept });
}

interface Product {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly type: WeightType;
  readonly x: Float32Array;
  /** What the kernel keeps of the rows; all if not given. */
  readonly kept?: ((x: Float32Array, rows: number) => ArrayLike<number>) | undefined;
  readonly fused?: { readonly bias: Float32Array; readonly residual: Float32Array; readonly activation: "gelu_tanh" };
}

async function check(
  device: Device,
  { rows, inner, columns, type, x, fused, kept = (all) => all }: Product,
): Promise<void> {
  const arena = device.arena("product");
  try {
    const [y, weights] = arena.run(() => {
      const matrix = packMatrix(device, normals(columns * inner, 2), [columns, inner], "W", type);
      const epilogue = fused && {
        bias: device.upload(fused.bias, [columns], "bias"),
        activation: fused.activation,
        residual: device.upload(fused.residual, [4, columns], "residual"),
      };
      return [matmul(device.upload(x, [rows, inner], "x"), matrix, epilogue), matrix] as const;
    });
    const truth = reference(kept(x, rows), await heldMatrix(weights), rows, inner, columns, fused);
    expectClose(await y.read(), truth, "kernel");
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

type Size = readonly [rows: number, inner: number, columns: number];

/** Sizes of products of one row and of several. */
export const ONE_ROW: readonly Size[] = [
  [1, 1, 1],
  [1, 32, 32],
  [1, 200, 75],
  [1, 97, 31],
  [1, 256, 640],
];
export const SEVERAL_ROWS: readonly Size[] = [
  [2, 3, 5],
  [8, 16, 32],
  [9, 200, 75],
  [13, 97, 61],
  [17, 1, 3],
  [3, 1152, 72],
];

export const MANY_ROWS: readonly Size[] = [
  [17, 3, 5],
  [24, 16, 32],
  [25, 200, 75],
  [29, 97, 61],
  [18, 1, 3],
  [19, 1152, 72],
];

interface ProductTests {
  readonly sizes: readonly Size[];
  readonly types?: readonly WeightType[];
  /** The kernel that must run. */
  readonly kernel: string | ((type: WeightType) => string);
  /** Rows of a product with norm and SwiGLU in f32; undefined for none. */
  readonly gatedRows?: number;
}

/** Tests the products of one kernel, on a device that chooses its kernels as an adapter of `facts` does. */
export function testProducts(
  facts: Partial<AdapterFacts>,
  { sizes, types = WEIGHT_TYPES, kernel, gatedRows }: ProductTests,
): void {
  const held = useDevice();
  const ran = useFacts(held, facts);
  const nameOf = (type: WeightType): string => (typeof kernel === "string" ? kernel : kernel(type));

  describe.each(types)("weights in %s", (type) => {
    test.each(sizes)("%i rows of %i by %i columns", async (rows, inner, columns) => {
      await checkProduct(held.device, rows, inner, columns, type);
      expect(ran).toContain(nameOf(type));
    });
  });

  if (gatedRows === undefined) return;
  test("norm before and SwiGLU after", async () => {
    await checkGated(held.device, gatedRows, 208);
    expect(ran).toContain(nameOf("f32"));
  });
}
