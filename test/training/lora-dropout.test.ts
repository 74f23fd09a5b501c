import { expect, test } from "vitest";
import { dropout } from "../../src/bench/reference/dropout.js";
import { Gradients } from "../../src/layers/gradients.js";
import { Linear } from "../../src/layers/linear.js";
import { Adapters, LowRankAdapter } from "../../src/layers/low-rank.js";
import { loraDropout } from "../../src/training/lora-dropout.js";
import { hashOf } from "../../src/training/random.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { randomTensors, withLayer } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();
const [ROWS, INNER, COLUMNS, RANK, SCALE, RATE] = [5, 40, 24, 4, 2, 0.3];
const PLACE = { seed: 7, step: 3, sample: 1 };
const KEY = hashOf(7, 3, 1, "q");

/** `Σ dy∘(x·Wᵀ + scale·dropout(x)·Aᵀ·Bᵀ)` in float64, and the sum y that dy is multiplied with. */
function forward(x: Float64Array, w: Float64Array, a: Float64Array, b: Float64Array, dy: Float64Array) {
  const seen = dropout(x, RATE, KEY);
  const dot = (one: Float64Array, i: number, other: Float64Array, j: number, length: number): number => {
    let sum = 0;
    for (let k = 0; k < length; k++) sum += one[i * length + k]! * other[j * length + k]!;
    return sum;
  };
  const t = Float64Array.from({ length: ROWS * RANK }, (_, i) => dot(seen, Math.floor(i / RANK), a, i % RANK, INNER));
  const y = Float64Array.from({ length: ROWS * COLUMNS }, (_, i) => {
    const [row, column] = [Math.floor(i / COLUMNS), i % COLUMNS];
    return dot(x, row, w, column, INNER) + SCALE * dot(t, row, b, column, RANK);
  });
  return { y, loss: y.reduce((sum, value, i) => sum + value * dy[i]!, 0) };
}

/** The gradient of `loss` by finite differences: exact, since it is linear in each of its arguments. */
function differences(values: Float64Array, loss: (values: Float64Array) => number): Float64Array {
  return values.map((value, i) => {
    const [more, less] = [0.5, -0.5].map((by) => loss(values.with(i, value + by)));
    return more! - less!;
  });
}

test("a layer with dropout has the results and the gradients of the float64 loop", async () => {
  const shapes = { "q.weight": [COLUMNS, INNER] };
  const values = randomTensors(shapes);
  const [a, b] = [normals(RANK * INNER, 1, 0.3), normals(COLUMNS * RANK, 2, 0.3)];
  const [x, dy] = [normals(ROWS * INNER, 3), normals(ROWS * COLUMNS, 4)];
  const pair = { a, b, rank: RANK, inner: INNER, columns: COLUMNS, scale: SCALE };
  const adapters = new Adapters([new LowRankAdapter("one", new Map([["q", pair]]))]);
  const [X, W, A, B, DY] = [x, values["q.weight"], a, b, dy].map((own) => Float64Array.from(own)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  await withLayer(
    held.device,
    shapes,
    values,
    (weights) => new Linear(weights, INNER, [{ name: "q", columns: COLUMNS }], { bias: false }),
    async (layer) => {
      const up = (given: Float32Array, ...shape: number[]) => held.device.upload(given, shape, "x");
      const [{ down, up: above }] = layer.added as [(typeof layer.added)[0]];
      adapters.dropout = loraDropout("one", RATE, PLACE);
      const y = await result(held.device, () => layer.forward(up(x, ROWS, INNER)));
      expectClose(y, forward(X, W, A, B, DY).y, "kernel");
      const gradientOf = (of: "x" | "a" | "b") =>
        result(held.device, () => {
          const gradients = new Gradients(held.device, [down, above]);
          const dx = layer.backward(up(x, ROWS, INNER), up(dy, ROWS, COLUMNS), gradients);
          return of === "x" ? dx : gradients.of(of === "a" ? down : above)!.blocks[0]!.tensor;
        });
      expectClose(
        await gradientOf("x"),
        differences(X, (own) => forward(own, W, A, B, DY).loss),
        "kernel",
      );
      expectClose(
        await gradientOf("a"),
        differences(A, (own) => forward(X, W, own, B, DY).loss),
        "kernel",
      );
      // B is stored with its scale.
      const dB = differences(B, (own) => forward(X, W, A, own, DY).loss).map((value) => value / SCALE);
      expectClose(await gradientOf("b"), dB, "kernel");
      // Another adapter's dropout is not this one's.
      adapters.dropout = undefined;
      const without = await result(held.device, () => layer.forward(up(x, ROWS, INNER)));
      adapters.dropout = loraDropout("other", RATE, PLACE);
      expect(await result(held.device, () => layer.forward(up(x, ROWS, INNER)))).toEqual(without);
      expect(without).not.toEqual(y);
    },
    adapters,
  );
});

test("seed, step, sample and layer have masks of their own, and rate 0 has none", () => {
  expect(loraDropout("one", 0, PLACE)).toBeUndefined();
  const keys = [1, 2].flatMap((seed) =>
    [1, 2].flatMap((step) =>
      [0, 1].flatMap((sample) => ["q", "k", "layers.1.q"].map((layer) => hashOf(seed, step, sample, layer))),
    ),
  );
  expect(new Set(keys).size).toBe(keys.length);
  expect(hashOf(7, 3, 1, "q")).toBe(KEY);
});
