import { describe, expect, test } from "vitest";
import * as reference from "../../src/bench/reference/gradients.js";
import { type AdamW, adamw } from "../../src/kernels/adamw.js";
import { addHeadRows } from "../../src/kernels/add-head-rows.js";
import { attentionGradient } from "../../src/kernels/attention-gradient.js";
import { addColumnSums } from "../../src/kernels/column-sums.js";
import { crossEntropy } from "../../src/kernels/cross-entropy.js";
import { geluGradient } from "../../src/kernels/gelu-gradient.js";
import { gradientProduct } from "../../src/kernels/gradient-product.js";
import { headRows } from "../../src/kernels/head-rows.js";
import { normGradient } from "../../src/kernels/norm-gradient.js";
import { packMatrix } from "../../src/kernels/pack.js";
import { keepRankBlocks } from "../../src/kernels/rank-blocks.js";
import { rotate } from "../../src/kernels/rotate.js";
import { NO_ROW, scatterRows } from "../../src/kernels/scatter-rows.js";
import { softmaxGradient } from "../../src/kernels/softmax-gradient.js";
import { addSumSquares } from "../../src/kernels/sum-squares.js";
import { swigluGradient } from "../../src/kernels/swiglu-gradient.js";
import { setZero } from "../../src/kernels/zeros.js";
import { addWeightGradient, inputGradient } from "../../src/layers/gradient-products.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();
const up = (values: Float32Array, ...shape: number[]) => held.device.upload(values, shape, "x");

describe("products", () => {
  test.each([
    [5, 40, 70],
    [33, 31, 32],
    [1, 100, 3],
  ])("A [%d, %d]·B [.., %d], plain and transposed", async (m, k, n) => {
    const [a, b] = [normals(m * k, 1), normals(k * n, 2)];
    const wanted = reference.product(a, b, m, k, n);
    const [at, bt] = [new Float32Array(reference.transpose(a, m, k)), new Float32Array(reference.transpose(b, k, n))];
    for (const y of [
      await result(held.device, () => gradientProduct({ tensor: up(a, m, k) }, { tensor: up(b, k, n) })),
      await result(held.device, () =>
        gradientProduct({ tensor: up(at, k, m), transposed: true }, { tensor: up(b, k, n) }),
      ),
      await result(held.device, () =>
        gradientProduct({ tensor: up(a, m, k) }, { tensor: up(bt, n, k), transposed: true }),
      ),
    ]) {
      expectClose(y, wanted, "kernel");
    }
  });

  test("adds to a tensor, scaled", async () => {
    const [a, b, c] = [normals(6, 1), normals(8, 2), normals(12, 3)];
    const y = await result(held.device, () => {
      const into = up(c, 3, 4);
      return gradientProduct({ tensor: up(a, 3, 2) }, { tensor: up(b, 2, 4) }, { into, factor: 0.5 });
    });
    const sum = reference.product(a, b, 3, 2, 4).map((v, i) => c[i]! + 0.5 * v);
    expectClose(y, sum, "kernel");
  });

  test.each(["f32", "f16", "bf16", "q8", "q4"] as const)(
    "the gradient of an input through weights in %s",
    async (type) => {
      const [rows, columns, inner] = [5, 70, 100];
      const [dy, w] = [normals(rows * columns, 4), normals(columns * inner, 5)];
      const identity = Float32Array.from({ length: columns * columns }, (_, i) => Number(i % (columns + 1) === 0));
      const y = await result(held.device, () => {
        const packed = packMatrix(held.device, w, [columns, inner], "w", type);
        return gradientProduct({ tensor: up(dy, rows, columns) }, packed);
      });
      const stored = await result(held.device, () => {
        const packed = packMatrix(held.device, w, [columns, inner], "w", type);
        return gradientProduct({ tensor: up(identity, columns, columns) }, packed);
      });
      const largest = Math.max(...stored.map((v, i) => Math.abs(v - w[i]!)));
      expect(largest).toBeLessThan({ f32: 1e-6, f16: 0.003, bf16: 0.02, q8: 0.03, q4: 0.4 }[type]);
      expectClose(y, reference.product(dy, stored, rows, columns, inner), "kernel");
    },
  );
});

test("column sums are added", async () => {
  const [x, y] = [normals(7 * 65, 1), normals(65, 2)];
  const sums = await result(held.device, () => {
    const into = up(y, 65);
    addColumnSums(up(x, 7, 65), into);
    return into;
  });
  expectClose(
    sums,
    y.map((v, c) => v + [0, 1, 2, 3, 4, 5, 6].reduce((sum, r) => sum + x[r * 65 + c]!, 0)),
    "kernel",
  );
});

describe.each([true, false])("norm, centred %s", (centred) => {
  test.each([3, 64, 200])("of width %d", async (width) => {
    const [x, weight, dy] = [normals(3 * width, 1), normals(width, 2), normals(3 * width, 3)];
    const wanted = reference.norm(x, weight, dy, 1e-6, centred);
    const run = () => normGradient(up(x, 3, width), up(weight, width), up(dy, 3, width), 1e-6, centred);
    expectClose(await result(held.device, () => run().dx), wanted.dx, "kernel");
    const dWeight = await result(held.device, () => {
      const into = up(new Float32Array(width), width);
      addColumnSums(run().dyNormed, into);
      return into;
    });
    expectClose(dWeight, wanted.dWeight, "kernel");
  });
});

test("SwiGLU", async () => {
  const [x, dy] = [normals(3 * 80, 1, 3), normals(3 * 40, 2)];
  const dx = await result(held.device, () => swigluGradient(up(x, 3, 80), up(dy, 3, 40)));
  expectClose(dx, reference.swiglu(x, dy), "kernel");
});

test.each(["gelu_tanh", "gelu_erf"] as const)("%s", async (kind) => {
  const [x, dy] = [normals(500, 1, 3), normals(500, 2)];
  const dx = await result(held.device, () => geluGradient(up(x, 5, 100), up(dy, 5, 100), kind));
  expectClose(dx, reference.gelu(x, dy, kind), "kernel");
});

test("a rotation is undone by the other sign", async () => {
  const x = normals(4 * 40, 1);
  const angles = normals(9 * 8, 2);
  const turned = await result(held.device, () => {
    const [cosines, sines] = [up(angles.map(Math.cos), 9, 8), up(angles.map(Math.sin), 9, 8)];
    return rotate(rotate(up(x, 4, 40), cosines, sines, 32, 3, 1), cosines, sines, 32, 3, -1);
  });
  expectClose(turned, x, "kernel");
  const once = await result(held.device, () =>
    rotate(up(x, 4, 40), up(angles.map(Math.cos), 9, 8), up(angles.map(Math.sin), 9, 8), 32, 3, 1),
  );
  const [row, head, c] = [2, 1, 5];
  const [a, b] = [x[row * 40 + head * 16 + c]!, x[row * 40 + head * 16 + c + 8]!];
  const angle = angles[(3 + row) * 8 + c]!;
  expect(once[row * 40 + head * 16 + c]).toBeCloseTo(a * Math.cos(angle) - b * Math.sin(angle), 5);
  expect(once[row * 40 + head * 16 + c + 8]).toBeCloseTo(b * Math.cos(angle) + a * Math.sin(angle), 5);
  expect(once[row * 40 + 35]).toBe(x[row * 40 + 35]);
});

test("cross-entropy and its gradient", async () => {
  const [rows, width] = [3, 150];
  const logits = normals(rows * width, 1, 4);
  const labels = Uint32Array.of(0, 149, 77);
  const wanted = reference.crossEntropy(logits, labels, 0.25);
  const loss = await result(held.device, () =>
    crossEntropy(up(logits, rows, width), held.device.upload(labels, [rows], "labels"), 0.25),
  );
  expectClose(loss, wanted.loss, "kernel");
  const gradient = await result(held.device, () => {
    const own = up(logits, rows, width);
    crossEntropy(own, held.device.upload(labels, [rows], "labels"), 0.25);
    return own;
  });
  expectClose(gradient, wanted.gradient, "kernel");
});

test("rows are added to a block of a table", async () => {
  const x = normals(4 * 70, 1);
  const ids = [3, NO_ROW, 5, 0];
  const y = await result(held.device, () => {
    const into = up(new Float32Array(2 * 70), 2, 70);
    scatterRows(up(x, 4, 70), held.device.upload(Uint32Array.from(ids), [4], "ids"), into, { first: 2 });
    return into;
  });
  expectClose(
    y,
    Float64Array.from({ length: 140 }, (_, i) => (i < 70 ? 0 : x[i - 70]!)),
    "exact",
  );
});

test("rows are added to a table, several to one, others left out", async () => {
  const [x, table] = [normals(4 * 70, 1), normals(5 * 70, 2)];
  const ids = [3, NO_ROW, 3, 0];
  const y = await result(held.device, () => {
    const into = up(table, 5, 70);
    scatterRows(up(x, 4, 70), held.device.upload(Uint32Array.from(ids), [4], "ids"), into);
    return into;
  });
  const wanted = Float64Array.from(table);
  for (const [i, id] of ids.entries())
    for (let c = 0; c < 70; c++) if (id !== NO_ROW) wanted[id * 70 + c]! += x[i * 70 + c]!;
  expectClose(y, wanted, "kernel");
});

describe("attention", () => {
  test.each([
    { batches: 1, rows: 70, heads: 4, keyValueHeads: 2, headSize: 64, causal: true },
    { batches: 1, rows: 9, heads: 2, keyValueHeads: 1, headSize: 128, causal: true },
    // Blocks of rows.
    { batches: 1, rows: 530, heads: 2, keyValueHeads: 1, headSize: 8, causal: true },
    { batches: 2, rows: 81, heads: 2, keyValueHeads: 2, headSize: 72, causal: false },
    { batches: 1, rows: 1, heads: 1, keyValueHeads: 1, headSize: 8, causal: true },
  ])("%o", async (sizes) => {
    const { batches, rows, heads, keyValueHeads, headSize } = sizes;
    const [stride, width] = [(heads + 2 * keyValueHeads) * headSize, heads * headSize];
    const [qkv, dy] = [normals(batches * rows * stride, 1), normals(batches * rows * width, 2)];
    const wanted = reference.attention(qkv, dy, sizes);
    const dqkv = await result(held.device, () =>
      attentionGradient(up(qkv, batches * rows, stride), up(dy, batches * rows, width), sizes),
    );
    expectClose(dqkv, wanted.dqkv, "kernel");
  });
});

test.each([
  [5, 40, 70],
  [64, 40, 70],
  [100, 33, 9],
])(
  "products for %d rows add to the gradients of the input, and of a block of the weights",
  async (rows, columns, inner) => {
    const [dy, w, x, sum] = [rows * columns, columns * inner, rows * inner, rows * inner].map((n, i) =>
      normals(n, i + 1),
    );
    const dx = await result(held.device, () => {
      const weights = packMatrix(held.device, w!, [columns, inner], "w");
      return inputGradient(up(dy!, rows, columns), weights, up(sum!, rows, inner));
    });
    const product = reference.product(dy!, w!, rows, columns, inner);
    expectClose(
      dx,
      product.map((value, i) => value + sum![i]!),
      "kernel",
    );
    const before = normals(8 * inner, 5);
    const dw = await result(held.device, () => {
      const into = up(before, 8, inner);
      addWeightGradient(up(dy!, rows, columns), up(x!, rows, inner), into, 1);
      return into;
    });
    const dyT = reference.transpose(dy!, rows, columns);
    const whole = reference.product(new Float32Array(dyT), x!, columns, rows, inner);
    expectClose(
      dw,
      whole.slice(inner, 9 * inner).map((value, i) => value + before[i]!),
      "kernel",
    );
  },
);

test("heads are copied out one below the other, transposed or not, and added back", async () => {
  const x = normals(6 * 20, 1);
  const part = { firstRow: 2, rows: 3, firstColumn: 4, columns: 5, heads: 2 };
  const wanted = Float64Array.from({ length: 30 }, (_, i) => {
    const [row, column] = [Math.floor(i / 5), i % 5];
    return x[(2 + (row % 3)) * 20 + 4 + Math.floor(row / 3) * 5 + column]!;
  });
  expectClose(await result(held.device, () => headRows(up(x, 6, 20), part)), wanted, "exact");
  const turned = await result(held.device, () => headRows(up(x, 6, 20), part, true));
  expectClose(turned, Float64Array.from(reference.transpose(new Float32Array(wanted), 6, 5)), "exact");
  const back = await result(held.device, () => {
    const y = up(x, 6, 20);
    addHeadRows(headRows(y, part), y, part);
    return y;
  });
  const isIn = (i: number) => Math.floor(i / 20) >= 2 && Math.floor(i / 20) < 5 && i % 20 >= 4 && i % 20 < 14;
  expectClose(
    back,
    Float64Array.from(x, (value, i) => (isIn(i) ? 2 * value : value)),
    "exact",
  );
});

test("the gradient of a softmax, with a causal mask", async () => {
  const [rows, width, scale] = [6, 40, 0.3];
  const [s, dp] = [normals(rows * width, 1).map((value) => 20 * value), normals(rows * width, 2)];
  const wanted = reference.softmaxGradient(s, dp, width, scale, (row) => 30 + (row % 3) + 1);
  for (const which of ["p", "ds"] as const) {
    const got = await result(held.device, () => {
      const [p, ds] = [up(s, rows, width), up(dp, rows, width)];
      softmaxGradient(p, ds, scale, { rowsAHead: 3, firstRow: 30 });
      return which === "p" ? p : ds;
    });
    expectClose(got, wanted[which], "kernel");
  }
});

test("elements of B of other parts are set to zero, in a block of its rows", async () => {
  const x = normals(4 * 3, 1);
  const y = await result(held.device, () => {
    const own = up(x, 4, 3);
    const ids = (values: number[]) => held.device.upload(Uint32Array.from(values), [values.length], "parts");
    keepRankBlocks(own, ids([9, 0, 0, 1, 1]), ids([0, 0, 1]), 1);
    return own;
  });
  expectClose(
    y,
    Float64Array.from(x, (value, i) => (Math.floor(i / 6) === Math.floor((i % 3) / 2) ? value : 0)),
    "exact",
  );
});

test("a tensor is set to zero", async () => {
  const y = await result(held.device, () => {
    const own = up(normals(300, 1), 300);
    setZero(own);
    return own;
  });
  expectClose(y, new Float64Array(300), "exact");
});

test("AdamW of weights that are stored scaled: the same steps, scaled", async () => {
  const [w, gradient, m] = [normals(70, 1), normals(70, 2), normals(70, 3)];
  const v = normals(70, 4).map((x) => x * x);
  const settings: AdamW = { rate: 0.01, betas: [0.9, 0.999], epsilon: 1e-8, decay: 0.1, clip: 1 };
  const wanted = reference.adamw({ w, gradient, m, v }, 0.25, 3, settings);
  const after = await result(held.device, () => {
    const own = up(
      w.map((value) => 4 * value),
      70,
    );
    const scaled = up(
      gradient.map((value) => value / 4),
      70,
    );
    adamw(own, scaled, up(m, 70), up(v, 70), up(Float32Array.of(0.25), 1), 3, settings, 4);
    return own;
  });
  expectClose(
    after,
    Float64Array.from(wanted.w, (value) => 4 * value),
    "kernel",
  );
});

test("AdamW, with a gradient that is clipped, and one that is not", async () => {
  const [w, gradient, m] = [normals(300, 1), normals(300, 2), normals(300, 3)];
  const v = normals(300, 4).map((x) => x * x);
  const settings: AdamW = { rate: 0.01, betas: [0.9, 0.999], epsilon: 1e-8, decay: 0.1, clip: 1 };
  for (const squares of [0.25, 400]) {
    const wanted = reference.adamw({ w, gradient, m, v }, squares, 3, settings);
    const after = await result(held.device, () => {
      const own = up(w, 300);
      adamw(own, up(gradient, 300), up(m, 300), up(v, 300), up(Float32Array.of(squares), 1), 3, settings);
      return own;
    });
    expectClose(after, wanted.w, "kernel");
  }
});

test("squares are summed", async () => {
  const x = normals(70_000, 1);
  const sum = await result(held.device, () => {
    const into = up(Float32Array.of(2), 1);
    addSumSquares(up(x, x.length), into);
    return into;
  });
  expect(sum[0]).toBeCloseTo(2 + x.reduce((total, value) => total + value * value, 0), -1);
});
