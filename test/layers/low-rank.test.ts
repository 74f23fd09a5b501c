import { expect, test } from "vitest";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { Linear } from "../../src/layers/linear.js";
import { Adapters, LowRankAdapter, type LowRankPair } from "../../src/layers/low-rank.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { randomTensors, withLayer } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();
const [ROWS, INNER] = [3, 40];
const x = normals(ROWS * INNER, 1);

function pair(columns: number, rank: number, seed: number, scale: number): LowRankPair {
  const [a, b] = [normals(rank * INNER, seed, 0.3), normals(columns * rank, seed + 1, 0.3)];
  return { a, b, rank, inner: INNER, columns, scale };
}

/** `W + Σ scale·B·A` in float64. */
function adapted(weight: ArrayLike<number>, ...pairs: LowRankPair[]): number[] {
  return Array.from(weight, (w, i) => {
    const [row, k] = [Math.floor(i / INNER), i % INNER];
    return pairs.reduce((sum, { a, b, rank, scale }) => {
      let product = 0;
      for (let r = 0; r < rank; r++) product += b[row * rank + r]! * a[r * INNER + k]!;
      return sum + scale * product;
    }, w);
  });
}

test("each part of a fused layer gets its own addition, of the adapters that are active", async () => {
  const columns = { q: 24, k: 9, v: 15 };
  const shapes = { "q.weight": [24, INNER], "k.weight": [9, INNER], "v.weight": [15, INNER] };
  const values = randomTensors(shapes);
  const q = pair(24, 4, 20, 2);
  const v = pair(15, 3, 30, 0.5);
  const more = pair(24, 2, 40, 1);
  const first = new LowRankAdapter("first", new Map([["q", q], ["v", v]])); // biome-ignore format: one line
  const second = new LowRankAdapter("second", new Map([["q", more]]));
  const adapters = new Adapters([first, second]);
  const parts = (["q", "k", "v"] as const).map((name) => ({ name, columns: columns[name] }));
  const layerOf = (weights: ConstructorParameters<typeof Linear>[0]) =>
    new Linear(weights, INNER, parts, { bias: false });
  await withLayer(
    held.device,
    shapes,
    values,
    layerOf,
    async (layer) => {
      const residual = normals(ROWS * 48, 3);
      const forward = () =>
        result(held.device, () =>
          layer.forward(held.device.upload(x, [ROWS, INNER], "x"), {
            residual: held.device.upload(residual, [ROWS, 48], "residual"),
          }),
        );
      const wanted = (q: number[], v: number[]) =>
        reference(x, [...q, ...values["k.weight"], ...v], ROWS, INNER, 48, { residual });
      const plain = { q: [...values["q.weight"]], v: [...values["v.weight"]] };
      expectClose(await forward(), wanted(adapted(plain.q, q, more), adapted(plain.v, v)), "kernel");
      adapters.use(["second"]);
      expectClose(await forward(), wanted(adapted(plain.q, more), plain.v), "kernel");
      adapters.use([]);
      expectClose(await forward(), wanted(plain.q, plain.v), "kernel");
    },
    adapters,
  );
});

test("SwiGLU comes after the additions to gate and up", async () => {
  const shapes = { "gate.weight": [24, INNER], "up.weight": [24, INNER] };
  const values = randomTensors(shapes);
  const [gate, up] = [pair(24, 4, 50, 1), pair(24, 2, 60, 1)];
  const adapters = new Adapters([new LowRankAdapter("a", new Map([["gate", gate], ["up", up]]))]); // biome-ignore format: one line
  const parts = [
    { name: "gate", columns: 24, interleave: 0 as const },
    { name: "up", columns: 24, interleave: 1 as const },
  ];
  await withLayer(
    held.device,
    shapes,
    values,
    (weights) => new Linear(weights, INNER, parts, { bias: false }),
    async (layer) => {
      const y = await result(held.device, () =>
        layer.forward(held.device.upload(x, [ROWS, INNER], "x"), { swiglu: true }),
      );
      const g = reference(x, adapted(values["gate.weight"], gate), ROWS, INNER, 24, {});
      const u = reference(x, adapted(values["up.weight"], up), ROWS, INNER, 24, {});
      expectClose(
        y,
        Array.from(g, (value, i) => (value / (1 + Math.exp(-value))) * u[i]!),
        "kernel",
      );
    },
    adapters,
  );
});

test("modules that no layer has asked for are an error", () => {
  const adapter = new LowRankAdapter("a", new Map([["q", pair(8, 1, 1, 1)]]));
  expect(() => adapter.check()).toThrow("expected modules of the checkpoint, got q");
  expect(() => adapter.request("q", 9, INNER)).toThrow("[9, 40], got one of [8, 40]");
  adapter.request("q", 8, INNER);
  adapter.check();
});
