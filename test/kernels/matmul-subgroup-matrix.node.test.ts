import { describe, expect, it } from "vitest";
import { heldMatrix } from "../../src/bench/reference/layers.js";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { matmul } from "../../src/kernels/matmul.js";
import { packMatrix } from "../../src/kernels/pack.js";
import type { WeightType } from "../../src/kernels/packed.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { Kernel } from "../../src/runtime/kernel.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { expectClose } from "../support/compare.js";
import { useDevice } from "../support/device.js";
import { checkFused, checkGated } from "../support/products.js";
import { normals } from "../support/random.js";

// The product of many rows on GPUs with subgroup matrices, which are emulated: a lane has every matrix as an array.

/** Matrices of a subgroup as arrays that each lane has whole. */
const ARRAYS = `
alias Left = array<E, M * K>;
alias Right = array<E, K * N>;
alias Result = array<f32, M * N>;
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

const LEFT = {
  staged: `
fn leftAt(at: u32) -> Left {
  var l: Left;
  for (var i = 0u; i < M * K; i++) { l[i] = xs[at + i / K * STRIDE + i % K]; }
  return l;
}`,
  // Storage has pairs of halves.
  fragments: `
fn leftAt(at: u32) -> Left {
  var l: Left;
  for (var i = 0u; i < M * K; i++) { l[i] = E(unpack2x16float(x[(at + i) / 2u])[i % 2u]); }
  return l;
}`,
};

/** A kernel without what only some GPUs have. Without f16 the parts of x are rounded to it all the same, subnormals perhaps to zero. */
function emulated(kernel: Kernel, { f16 }: AdapterFacts): Kernel {
  if (!kernel.text.includes("subgroup_matrix")) return kernel;
  const header = kernel.header
    .filter((line) => !line.includes("enable chromium") && (f16 || line !== "enable f16;"))
    .map((line) => (line.includes("subgroup_matrix") ? ARRAYS : line))
    .map((line) => (line.includes("Left, row_major>(&xs") ? LEFT.staged : line))
    .map((line) => (line.includes("Left, row_major>(&x,") ? LEFT.fragments : line))
    .map((line) => line.replace("x: array<E>", "x: array<u32>"))
    .map((line) => (f16 ? line : withoutF16(line)));
  return new Kernel(kernel.name, kernel.body, kernel.constants, header);
}

function withoutF16(line: string): string {
  return line
    .replace("alias E = f16;", "alias E = f32;")
    .replace(/fn stageX[\s\S]*?\n\}/, (code) =>
      line.includes("= f16;") ? code.replaceAll(" E(", " quantizeToF16(") : code,
    );
}

const held = useDevice();

type SubgroupMatrix = NonNullable<AdapterFacts["subgroupMatrix"]>;
type Product = readonly [rows: number, inner: number, columns: number, type: WeightType];

describe.each<SubgroupMatrix & { products: readonly Product[] }>([
  {
    m: 8,
    n: 8,
    k: 8,
    input: "f16",
    products: [
      [65, 97, 75, "f32"],
      // Of f16 a block needs one part.
      [19, 70, 40, "f16"],
    ],
  },
  { m: 8, n: 16, k: 8, input: "f16", products: [[19, 70, 40, "q4"]] },
  { m: 8, n: 8, k: 8, input: "f32", products: [[19, 70, 40, "q8"]] },
])("$m×$n×$k of $input", ({ products, ...subgroupMatrix }) => {
  // SwiftShader has no f16: with elements twice as wide only the variant for little memory fits.
  const maxWorkgroupBytes = subgroupMatrix.input === "f32" ? 32768 : 16384;
  const ran = useFacts(held, { ...ADAPTERS["GPU, subgroups of 32"], subgroupMatrix, maxWorkgroupBytes }, emulated);

  it.each(products)("%i rows of %i by %i columns, weights in %s", async (rows, inner, columns, type) => {
    await checkFused(held.device, rows, inner, columns, type);
    expect(ran).toContain("matmulSubgroupMatrix");
  });
});

describe("8×8×8 of f16, tiles of 128 from fragments", () => {
  const subgroupMatrix = { m: 8, n: 8, k: 8, input: "f16" } as const;
  const facts = { ...ADAPTERS["GPU, subgroups of 32"], subgroupMatrix, tuning: { "matmul.units": "large matrices" } };
  const ran = useFacts(held, facts, emulated);

  it("130 rows of 70 by 140 columns, with bias, GELU and residual", async () => {
    await checkFused(held.device, 130, 70, 140, "f16");
    expect(ran).toContain("rowFragments");
  });
});

describe("8×8×8 of f32", () => {
  const subgroupMatrix = { m: 8, n: 8, k: 8, input: "f32" } as const;
  const ran = useFacts(
    held,
    { ...ADAPTERS["GPU, subgroups of 32"], subgroupMatrix, maxWorkgroupBytes: 32768 },
    emulated,
  );

  it("norm before and SwiGLU after", async () => {
    await checkGated(held.device, 20, 80);
    expect(ran).toContain("matmulSubgroupMatrix");
  });
});

describe("8×8×8 of f16", () => {
  const subgroupMatrix = { m: 8, n: 8, k: 8, input: "f16" } as const;
  const ran = useFacts(
    held,
    { ...ADAPTERS["GPU, subgroups of 32"], subgroupMatrix, maxWorkgroupBytes: 16384 },
    emulated,
  );

  // Every second row has numbers beyond the largest f16, below the least, or both.
  it.each<WeightType>(["bf16", "q8"])("activations of 2e5 and 1e-6, weights in %s", async (type) => {
    const { device } = held;
    const [rows, inner, columns] = [18, 70, 40];
    const x = normals(rows * inner, 1).map((v, i) => {
      const row = Math.floor(i / inner) % 6;
      return v * (row === 1 || (row === 5 && i % 2 === 0) ? 2e5 : row % 2 === 1 ? 1e-6 : 1);
    });
    const arena = device.arena("product");
    try {
      const [y, weights] = arena.run(() => {
        const matrix = packMatrix(device, normals(columns * inner, 2), [columns, inner], "W", type);
        return [matmul(device.upload(x, [rows, inner], "x"), matrix), matrix] as const;
      });
      expect(ran).toContain("matmulSubgroupMatrix");
      const [got, truth] = [await y.read(), reference(x, await heldMatrix(weights), rows, inner, columns)];
      for (let at = 0; at < rows * columns; at += columns) {
        expectClose(got.slice(at, at + columns), truth.slice(at, at + columns), "kernel", `row ${at / columns}`);
      }
    } finally {
      arena.dispose();
    }
  });
});
