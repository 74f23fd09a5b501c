import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { rmsNorm } from "../../src/bench/reference/norm.js";
import { swiglu } from "../../src/bench/reference/swiglu.js";
import { gather } from "../../src/kernels/gather.js";
import { matmul } from "../../src/kernels/matmul.js";
import { TILES, tileFor } from "../../src/kernels/matmul-tile.js";
import { packMatrix } from "../../src/kernels/pack.js";
import type { WeightType } from "../../src/kernels/packed.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { Kernel } from "../../src/runtime/kernel.js";
import { ADAPTERS, forge } from "../support/adapters.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

// The products that GPUs are given, computed by the adapter of the tests in the place of one.

const held = useDevice();
let own: AdapterFacts;
/** Names of the kernels that ran. */
let ran: string[];
beforeEach(() => {
  const { device } = held;
  own = device.facts;
  ran = [];
  device.run = (kernel, ...others) => {
    ran.push(kernel.name);
    Object.getPrototypeOf(device).run.call(device, emulated(kernel, own.f16), ...others);
  };
});
afterEach(() => {
  forge(held.device, own);
  Reflect.deleteProperty(held.device, "run");
});

/** Matrices of a subgroup as arrays that each lane has whole. */
const ARRAYS = `
alias Left = array<E, M * K>;
alias Right = array<E, K * N>;
alias Result = array<f32, M * N>;
fn leftAt(at: u32) -> Left {
  var l: Left;
  for (var i = 0u; i < M * K; i++) { l[i] = xs[at + i / K * STRIDE + i % K]; }
  return l;
}
fn rightAt(at: u32) -> Right {
  var r: Right;
  for (var i = 0u; i < K * N; i++) { r[i] = ws[at + i / K * STRIDE + i % K]; }
  return r;
}
fn added(sum: Result, l: Left, r: Right) -> Result {
  var s = sum;
  for (var i = 0u; i < M * N; i++) {
    for (var k = 0u; k < K; k++) { s[i] += f32(l[i / N * K + k]) * f32(r[i % N * K + k]); }
  }
  return s;
}
fn keep(at: u32, sum: Result) {
  for (var i = 0u; i < M * N; i++) { results[at + i / N * WIDE + i % N] = sum[i]; }
}`;

/** A kernel without what only some GPUs have. */
function emulated(kernel: Kernel, f16: boolean): Kernel {
  if (!kernel.text.includes("subgroup_matrix")) return kernel;
  const header = kernel.header
    .filter((line) => !line.includes("enable chromium") && (f16 || line !== "enable f16;"))
    .map((line) => (line.includes("subgroupMatrixLoad") ? ARRAYS : line))
    .map((line) => (f16 ? line : line.replace("alias E = f16;", "alias E = f32;")));
  return new Kernel(kernel.name, kernel.body, kernel.constants, header);
}

async function check(rows: number, inner: number, columns: number, type: WeightType, kernel: string): Promise<void> {
  const { device } = held;
  const [x, w, bias] = [normals(rows * inner, 1, 3), normals(columns * inner, 2), normals(columns, 3)];
  const residual = normals(4 * columns, 4);
  const ids = Uint32Array.from({ length: columns }, (_, i) => i);
  const [y, weights] = device.scope(() => {
    const matrix = packMatrix(device, w, [columns, inner], "W", type);
    const epilogue = {
      bias: device.upload(bias, [columns], "bias"),
      activation: "gelu_tanh" as const,
      residual: device.upload(residual, [4, columns], "residual"),
    };
    return [
      matmul(device.upload(x, [rows, inner], "x"), matrix, epilogue),
      gather(device.upload(ids, [columns], "ids"), matrix, "weights"),
    ] as const;
  });
  expect(ran).toContain(kernel);
  const around = { bias, residual, activation: "gelu_tanh" } as const;
  expectClose(await y.read(), reference(x, await weights.read(), rows, inner, columns, around), "kernel");
  for (const tensor of [y, weights]) tensor.dispose();
}

async function checkGated(rows: number, columns: number, kernel: string): Promise<void> {
  const { device } = held;
  const inner = 76;
  const [x, w, weight] = [normals(rows * inner, 1), normals(columns * inner, 2), normals(inner, 3)];
  const y = await result(device, () =>
    matmul(device.upload(x, [rows, inner], "x"), packMatrix(device, w, [columns, inner], "W"), {
      norm: { weight: device.upload(weight, [inner], "weight"), epsilon: 1e-6 },
      swiglu: true,
    }),
  );
  expect(ran).toContain(kernel);
  expectClose(y, swiglu(reference(rmsNorm(x, weight, 1e-6), w, rows, inner, columns), rows), "kernel");
}

const TYPES: readonly WeightType[] = ["f32", "f16", "bf16", "q8", "q4"];

describe("rows that share weights", () => {
  beforeEach(() => forge(held.device, ADAPTERS["GPU, no subgroups"]!));
  for (const rows of [1, 2, 3, 5, 8, 9, 16]) {
    it(`${rows} rows`, () => check(rows, 40, 75, "f32", "matvec"));
    it(`${rows} rows with norm and SwiGLU`, () => checkGated(rows, 48, "matvec"));
  }
  for (const type of TYPES) it(`5 rows in ${type}`, () => check(5, 97, 61, type, "matvec"));
});

describe("register tiles", () => {
  beforeEach(() => forge(held.device, ADAPTERS["GPU, no subgroups"]!));
  for (const [rows, inner, columns] of [
    [17, 1, 3],
    [32, 32, 64],
    [33, 33, 65],
    [64, 588, 144],
    [65, 64, 97],
    [131, 40, 33],
  ] as const) {
    it(`${rows}×${inner} by ${columns} columns`, () => check(rows, inner, columns, "f32", "matmulTile"));
  }
  for (const type of TYPES) it(`67 rows in ${type}`, () => check(67, 97, 75, type, "matmulTile"));
  for (const rows of [17, 70]) it(`${rows} rows with norm and SwiGLU`, () => checkGated(rows, 208, "matmulTile"));
  // test/kernels/tunables.test.ts computes with it.
  it("the largest tile where it leaves enough of them", () => expect(tileFor(1024, 4096)).toBe(TILES.large));
  it("small tiles for few rows or columns", () => {
    expect(tileFor(32, 1e5)).toBe(TILES.low);
    expect(tileFor(729, 896)).toBe(TILES.middle);
  });
});

describe("subgroup matrices, emulated", () => {
  const forgeMatrices = (m: number, n: number, k: number, input: "f16" | "f32"): void => {
    // Without f16 the elements are twice as wide, and only the variant for little memory fits.
    const maxWorkgroupBytes = input === "f32" || own.f16 ? 32768 : 16384;
    const subgroupMatrix = { m, n, k, input };
    forge(held.device, { ...ADAPTERS["GPU, subgroups of 32"], subgroupMatrix, maxWorkgroupBytes });
  };
  const kernel = "matmulSubgroupMatrix";

  describe("8×8×8 of f16", () => {
    beforeEach(() => forgeMatrices(8, 8, 8, "f16"));
    for (const [rows, inner, columns] of [
      [17, 1, 3],
      [64, 64, 64],
      [65, 97, 75],
    ] as const) {
      it(`${rows}×${inner} by ${columns} columns`, () => check(rows, inner, columns, "f32", kernel));
    }
    it("19 rows in f16, which need one part", () => check(19, 70, 40, "f16", kernel));
  });

  it("8×16×8 of f16: 19 rows in q4", async () => {
    forgeMatrices(8, 16, 8, "f16");
    await check(19, 70, 40, "q4", kernel);
  });

  it("8×8×8 of f32: 19 rows in q8, norm and SwiGLU", async () => {
    forgeMatrices(8, 8, 8, "f32");
    await check(19, 70, 40, "q8", kernel);
    await checkGated(20, 80, kernel);
  });
});
