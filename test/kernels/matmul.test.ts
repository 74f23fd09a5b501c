import { describe, expect, it } from "vitest";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { rmsNorm } from "../../src/bench/reference/norm.js";
import { swiglu } from "../../src/bench/reference/swiglu.js";
import { gather } from "../../src/kernels/gather.js";
import { matmul } from "../../src/kernels/matmul.js";
import { pack, packMatrix, type SourceType } from "../../src/kernels/pack.js";
import { PackedMatrix } from "../../src/kernels/packed.js";
import type { Device } from "../../src/runtime/device.js";
import { widenBF16, widenF16 } from "../../src/runtime/dtype.js";
import { expectClose } from "../support/compare.js";
import { FEATURES, result, useDevice } from "../support/device.js";
import { normals, random } from "../support/random.js";

/** Random weights in a stored type: the words to upload and the values they stand for. */
function stored(type: SourceType, count: number, seed: number): { words: Uint32Array; values: Float32Array } {
  if (type === "f32") {
    const values = normals(count, seed);
    return { words: new Uint32Array(values.buffer), values };
  }
  const next = random(seed);
  const half = new Uint16Array(Math.ceil(count / 2) * 2);
  // Signs, exponents near one and any fraction.
  for (let i = 0; i < count; i++) {
    const bits = Math.floor(next() * 2 ** 16);
    half[i] =
      type === "f16" ? (bits & 0x83ff) | ((12 + (bits % 4)) << 10) : (bits & 0x807f) | ((124 + (bits % 4)) << 7);
  }
  const values = (type === "f16" ? widenF16(half) : widenBF16(half)).subarray(0, count);
  return { words: new Uint32Array(half.buffer), values };
}

function packed(device: Device, type: SourceType, columns: number, inner: number, seed: number) {
  const { words, values } = stored(type, columns * inner, seed);
  const matrix = PackedMatrix.allocate(device, columns, inner, type, "W");
  const source = device.upload(words, [words.length], "source");
  pack(source, type, columns, matrix, 0);
  return { matrix, values };
}

describe.each(FEATURES)("features: %s", (features) => {
  const held = useDevice({ features });

  describe("matmul", () => {
    const sizes: [number, number, number][] = [
      [1, 1, 1],
      [2, 3, 5],
      [7, 8, 31],
      [8, 16, 32],
      [9, 24, 33],
      [13, 97, 61],
      [37, 144, 304],
      [5, 588, 144],
      [1, 256, 640],
      [1, 97, 31],
      [3, 1152, 72],
    ];
    for (const type of ["f32", "f16", "bf16"] as const) {
      for (const [rows, inner, columns] of sizes) {
        it(`${rows}×${inner} by ${columns} columns in ${type}`, async () => {
          const { device } = held;
          const x = normals(rows * inner, 1);
          let truth: Float64Array | undefined;
          const y = await result(device, () => {
            const { matrix, values } = packed(device, type, columns, inner, 2);
            truth = reference(x, values, rows, inner, columns);
            return matmul(device.upload(x, [rows, inner], "x"), matrix);
          });
          expectClose(y, truth!, "kernel");
        });
      }
    }

    for (const rows of [1, 11]) {
      for (const activation of ["gelu_tanh", "gelu_erf", undefined] as const) {
        it(`${rows} rows with bias, ${activation ?? "no activation"} and a repeating residual`, async () => {
          const { device } = held;
          const [inner, columns] = [40, 75];
          const x = normals(rows * inner, 3);
          const bias = normals(columns, 4, 3);
          const period = rows === 1 ? 1 : 4;
          const residual = normals(period * columns, 5);
          let truth: Float64Array | undefined;
          const y = await result(device, () => {
            const { matrix, values } = packed(device, "f32", columns, inner, 6);
            truth = reference(x, values, rows, inner, columns, { bias, residual, ...(activation && { activation }) });
            return matmul(device.upload(x, [rows, inner], "x"), matrix, {
              bias: device.upload(bias, [columns], "bias"),
              residual: device.upload(residual, [period, columns], "residual"),
              activation,
            });
          });
          expectClose(y, truth!, "kernel");
        });
      }
    }

    it("computes every column of a matrix split into blocks", async () => {
      const { device } = held;
      const [rows, inner, columns] = [3, 24, 150];
      const x = normals(rows * inner, 1);
      const { words, values } = stored("f16", columns * inner, 9);
      const y = await result(device, () => {
        const source = device.upload(words, [words.length], "source");
        // The same matrix as an adapter with small bindings would hold it: blocks of two panels.
        const small = new Proxy(device, {
          get(target, key) {
            if (key === "facts") return { ...target.facts, maxBindingBytes: 2 * 32 * 32 * 2 };
            const value = Reflect.get(target, key, target);
            return typeof value === "function" ? value.bind(target) : value;
          },
        });
        const matrix = PackedMatrix.allocate(small, columns, inner, "f16", "W");
        expect(matrix.blocks.length).toBe(3);
        for (const [first, count] of [
          [0, 70],
          [70, 80],
        ] as const) {
          const part = device.upload(
            words.slice((first * inner) / 2, ((first + count) * inner) / 2),
            [(count * inner) / 2],
            "part",
          );
          pack(part, "f16", count, matrix, first);
        }
        source.dispose();
        return matmul(device.upload(x, [rows, inner], "x"), matrix);
      });
      expectClose(y, reference(x, values, rows, inner, columns), "kernel");
    });

    for (const type of ["q8", "q4"] as const) {
      for (const [rows, inner, columns] of [
        [1, 32, 32],
        [1, 200, 75],
        [9, 200, 75],
        [17, 1, 3],
        [5, 97, 61],
        [33, 588, 144],
      ] as const) {
        it(`${rows}×${inner} by ${columns} columns in ${type}: weights within half a level, products of what is held`, async () => {
          const { device } = held;
          const [x, w] = [normals(rows * inner, 1), normals(columns * inner, 2)];
          const ids = Uint32Array.from({ length: columns }, (_, i) => i);
          const [y, stored] = device.scope(() => {
            const matrix = packMatrix(device, w, [columns, inner], "W", type);
            return [
              matmul(device.upload(x, [rows, inner], "x"), matrix),
              gather(device.upload(ids, [columns], "ids"), matrix, "rows"),
            ] as const;
          });
          const weights = await stored.read();
          for (let group = 0; group < w.length; ) {
            const end = Math.min(group + 32, (Math.floor(group / inner) + 1) * inner);
            const own = w.subarray(group, end);
            const levels =
              type === "q8" ? Math.max(...own.map(Math.abs)) / 127 : spread(own, (group % inner) + 32 > inner) / 15;
            // f16 scales and least elements add a little to the half level of rounding; the last term is for subnormal scales.
            const most = levels * 0.5 + Math.max(...own.map(Math.abs)) * 2e-3 + 127 * 2 ** -25;
            for (let i = group; i < end; i++) expect(Math.abs(weights[i]! - w[i]!)).toBeLessThanOrEqual(most);
            group = end;
          }
          expectClose(await y.read(), reference(x, weights, rows, inner, columns), "kernel");
          for (const tensor of [y, stored]) tensor.dispose();
        });
      }
    }

    for (const rows of [1, 11]) {
      for (const columns of [16, 48, 208]) {
        it(`${rows} rows: norm before, SwiGLU of ${columns} columns in turns after`, async () => {
          const { device } = held;
          const inner = 76;
          const [x, w, weight] = [normals(rows * inner, 1), normals(columns * inner, 2), normals(inner, 3)];
          const y = await result(device, () =>
            matmul(device.upload(x, [rows, inner], "x"), packMatrix(device, w, [columns, inner], "W"), {
              norm: { weight: device.upload(weight, [inner], "weight"), epsilon: 1e-6 },
              swiglu: true,
            }),
          );
          const product = reference(rmsNorm(x, weight, 1e-6), w, rows, inner, columns);
          expectClose(y, swiglu(product, rows), "kernel");
        });
      }
    }

    it("packs two matrices interleaved in blocks of 8 columns, across blocks and chunks of rows", async () => {
      const { device } = held;
      const [half, inner] = [48, 8];
      const parts = [normals(half * inner, 1), normals(half * inner, 2)];
      const ids = Uint32Array.from({ length: 2 * half }, (_, i) => i);
      const rows = await result(device, () => {
        const matrix = PackedMatrix.allocate(device, 2 * half, inner, "f32", "W");
        for (const interleave of [0, 1] as const) {
          for (const [first, count] of [
            [0, 20],
            [20, 28],
          ] as const) {
            const piece = parts[interleave]!.slice(first * inner, (first + count) * inner);
            pack(
              device.upload(new Uint32Array(piece.buffer), [piece.length], "piece"),
              "f32",
              count,
              matrix,
              first,
              interleave,
            );
          }
        }
        return gather(device.upload(ids, [2 * half], "ids"), matrix, "rows");
      });
      const truth = Float32Array.from({ length: 2 * half * inner }, (_, at) => {
        const column = Math.floor(at / inner);
        const row = Math.floor(column / 16) * 8 + (column % 8);
        return parts[column % 16 < 8 ? 0 : 1]![row * inner + (at % inner)]!;
      });
      expectClose(rows, truth, "exact");
    });

    it("refuses widths that do not fit", () => {
      const { device } = held;
      device.scope(() => {
        const { matrix } = packed(device, "f32", 8, 16, 1);
        const x = device.upload(new Float32Array(40), [2, 20], "x");
        expect(() => matmul(x, matrix)).toThrow(/matmul W, tensor x: expected rows of 16, got \[2, 20\]/);
      });
    });
  });
});

/** Distance of the extremes of a group; the padding of a row's last group is zeros. */
function spread(group: Float32Array, padded: boolean): number {
  const values = padded ? [...group, 0] : [...group];
  return Math.max(...values) - Math.min(...values);
}
