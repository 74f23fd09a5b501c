import { describe, expect, it, vi } from "vitest";
import { gelu, matmul as reference } from "../../src/bench/reference/matmul.js";
import { rmsNorm } from "../../src/bench/reference/norm.js";
import { swiglu } from "../../src/bench/reference/swiglu.js";
import type { Epilogue } from "../../src/kernels/epilogue.js";
import { matmul } from "../../src/kernels/matmul.js";
import { packMatrix } from "../../src/kernels/pack.js";
import { PackedMatrix } from "../../src/kernels/packed.js";
import { expectClose } from "../support/compare.js";
import { FEATURES, result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

describe.each(FEATURES)("features: %s", (features) => {
  const held = useDevice({ features });

  for (const rows of [1, 11]) {
    for (const activation of ["gelu_tanh", "gelu_erf", undefined] as const) {
      it(`${rows} rows with bias, ${activation ?? "no activation"} and a repeating residual`, async () => {
        const { device } = held;
        const [inner, columns] = [40, 75];
        const [x, w] = [normals(rows * inner, 3), normals(columns * inner, 6)];
        const bias = normals(columns, 4, 3);
        const period = rows === 1 ? 1 : 4;
        const residual = normals(period * columns, 5);
        const y = await result(device, () =>
          matmul(device.upload(x, [rows, inner], "x"), packMatrix(device, w, [columns, inner], "W"), {
            bias: device.upload(bias, [columns], "bias"),
            residual: device.upload(residual, [period, columns], "residual"),
            activation,
          }),
        );
        const around = { bias, residual, ...(activation && { activation }) };
        expectClose(y, reference(x, w, rows, inner, columns, around), "kernel");
      });
    }

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
});

describe("one device", () => {
  const held = useDevice();

  it.each(["gelu_tanh", "gelu_erf"] as const)("%s is right from far below zero to far above", async (activation) => {
    const { device } = held;
    const x = Float32Array.of(-1e4, -100, -9, -5, -2, -1, -0.5, -1e-3, 0, 1e-3, 0.5, 1, 2, 5, 9, 100, 1e4);
    const y = await result(device, () =>
      matmul(device.upload(x, [x.length, 1], "x"), packMatrix(device, Float32Array.of(1), [1, 1], "W"), { activation }),
    );
    // Each by itself: next to 1e4 an error at 1 would not be seen.
    for (const [i, value] of y.entries())
      expect(Math.abs(value - gelu(x[i]!, activation))).toBeLessThan(4e-7 + Math.abs(x[i]!) * 4e-7);
  });

  it.each([1, 9])("%i rows: a CPU adapter compiles one kernel for all epilogues", (rows) => {
    const { device } = held;
    const texts = new Set<string>();
    const run = vi.spyOn(device, "run").mockImplementation((kernel) => void texts.add(kernel.text));
    device.scope(() => {
      const [x, bias, residual] = [[rows, 8], [16], [rows, 16]].map((shape) => device.empty(shape, "f32", "x"));
      const matrix = PackedMatrix.allocate(device, 16, 8, "f32", "W");
      const epilogues: Epilogue[] = [{}, { bias }, { residual }, { bias, activation: "gelu_erf" }, { swiglu: true }];
      for (const epilogue of epilogues) matmul(x!, matrix, epilogue);
    });
    run.mockRestore();
    expect(texts.size).toBe(1);
    expect(device.facts.onCPU).toBe(true);
  });

  it("refuses a bias and a residual of other widths", () => {
    const { device } = held;
    device.scope(() => {
      const [x, wide, narrow] = [[2, 8], [4], [3]].map((shape) => device.empty(shape, "f32", "x"));
      const matrix = packMatrix(device, normals(32, 1), [4, 8], "W");
      expect(() => matmul(x!, matrix, { bias: narrow! })).toThrow(
        /matmul W, bias, tensor x: expected \[4\], got \[3\]/,
      );
      expect(() => matmul(x!, matrix, { residual: wide! })).toThrow(
        /matmul W, residual, tensor x: expected \[any, 4\]/,
      );
    });
  });
});
