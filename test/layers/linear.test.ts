import { expect, test } from "vitest";
import { heldMatrix } from "../../src/bench/reference/layers.js";
import { matmul as reference } from "../../src/bench/reference/matmul.js";
import { Linear } from "../../src/layers/linear.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { randomTensors, withLayer } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();
const [ROWS, INNER] = [3, 40];
const x = normals(ROWS * INNER, 1);

test("a product with the layer's own bias", async () => {
  const { device } = held;
  const shapes = { "fc.weight": [24, INNER], "fc.bias": [24] };
  const values = randomTensors(shapes);
  const make = (weights: ConstructorParameters<typeof Linear>[0]) =>
    new Linear(weights, INNER, [{ name: "fc", columns: 24 }], { bias: true });
  await withLayer(device, shapes, values, make, async (layer) => {
    const [w, bias] = [values["fc.weight"], values["fc.bias"]];
    const plain = await result(device, () => layer.forward(device.upload(x, [ROWS, INNER], "x")));
    expectClose(plain, reference(x, w, ROWS, INNER, 24, { bias }), "kernel");
    const residual = normals(ROWS * 24, 2);
    const around = await result(device, () =>
      layer.forward(device.upload(x, [ROWS, INNER], "x"), {
        activation: "gelu_erf",
        residual: device.upload(residual, [ROWS, 24], "residual"),
      }),
    );
    expectClose(around, reference(x, w, ROWS, INNER, 24, { bias, activation: "gelu_erf", residual }), "kernel");
  });
});

test("several stored matrices give their columns one behind the other, with their biases", async () => {
  const { device } = held;
  const names = ["q", "k", "v"] as const;
  const columns = { q: 40, k: 9, v: 15 };
  const shapes = Object.fromEntries(
    names.flatMap((name) => [
      [`${name}.weight`, [columns[name], INNER]],
      [`${name}.bias`, [columns[name]]],
    ]),
  );
  const values = randomTensors(shapes);
  const parts = names.map((name) => ({ name, columns: columns[name] }));
  await withLayer(
    device,
    shapes,
    values,
    (weights) => new Linear(weights, INNER, parts, { bias: true }),
    async (layer) => {
      expect([layer.weight.label, layer.bias?.label]).toEqual(["q+k+v", "q+k+v.bias"]);
      const [w, bias] = (["weight", "bias"] as const).map((kind) =>
        names.flatMap((name) => [...values[`${name}.${kind}`]!]),
      );
      const y = await result(device, () => layer.forward(device.upload(x, [ROWS, INNER], "x")));
      expectClose(y, reference(x, w!, ROWS, INNER, 64, { bias: bias! }), "kernel");
    },
  );
});

test("two matrices are interleaved in blocks of 8 columns where the parts say so", async () => {
  const { device } = held;
  const shapes = { "gate.weight": [24, INNER], "up.weight": [24, INNER] };
  const values = randomTensors(shapes);
  const parts = (["gate", "up"] as const).map((name, i) => ({ name, columns: 24, interleave: i as 0 | 1 }));
  await withLayer(
    device,
    shapes,
    values,
    (weights) => new Linear(weights, INNER, parts, { bias: false }),
    async (layer) => {
      expect(layer.bias).toBeUndefined();
      const block = (name: "gate" | "up", i: number) => [
        ...values[`${name}.weight`].subarray(i * 8 * INNER, (i + 1) * 8 * INNER),
      ];
      const w = [0, 1, 2].flatMap((i) => [...block("gate", i), ...block("up", i)]);
      expect(await heldMatrix(layer.weight)).toEqual(Float32Array.from(w));
    },
  );
});

test.each(["f16", "bf16", "q8", "q4"] as const)("weights are stored as %s where that is asked for", async (dtype) => {
  const { device } = held;
  const shapes = { "fc.weight": [24, INNER] };
  const values = randomTensors(shapes);
  await withLayer(
    device,
    shapes,
    values,
    (weights) => new Linear(weights.storedAs(dtype), INNER, [{ name: "fc", columns: 24 }], { bias: false }),
    async (layer) => {
      expect(layer.weight.type).toBe(dtype);
      const w = await heldMatrix(layer.weight);
      const y = await result(device, () => layer.forward(device.upload(x, [ROWS, INNER], "x")));
      expectClose(y, reference(x, w, ROWS, INNER, 24), "kernel");
    },
  );
});
