import { test } from "vitest";
import { matmul } from "../../src/bench/reference/matmul.js";
import { rmsNorm } from "../../src/bench/reference/norm.js";
import { GatedMLP, MLP } from "../../src/layers/mlp.js";
import { RMSNorm } from "../../src/layers/norm.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { randomTensors, withLayer } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();
const [ROWS, WIDTH, HIDDEN] = [5, 24, 48];
const x = normals(ROWS * WIDTH, 1);

test("the vision tower's: two products with GELU between them, added to the residual", async () => {
  const { device } = held;
  const shapes = {
    "fc1.weight": [HIDDEN, WIDTH],
    "fc1.bias": [HIDDEN],
    "fc2.weight": [WIDTH, HIDDEN],
    "fc2.bias": [WIDTH],
  };
  const values = randomTensors(shapes);
  const residual = normals(ROWS * WIDTH, 2);
  await withLayer(
    device,
    shapes,
    values,
    (weights) => new MLP(weights, WIDTH, HIDDEN),
    async (layer) => {
      const y = await result(device, () =>
        layer.forward(device.upload(x, [ROWS, WIDTH], "x"), device.upload(residual, [ROWS, WIDTH], "residual")),
      );
      const h = matmul(x, values["fc1.weight"], ROWS, WIDTH, HIDDEN, {
        bias: values["fc1.bias"],
        activation: "gelu_tanh",
      });
      const truth = matmul(h, values["fc2.weight"], ROWS, HIDDEN, WIDTH, { bias: values["fc2.bias"], residual });
      expectClose(y, truth, "kernel");
    },
  );
});

test.each([1, ROWS])("the decoder's, %i rows: normalised, gated by SiLU, added to x", async (rows) => {
  const { device } = held;
  const shapes = {
    "norm.weight": [WIDTH],
    "gate_proj.weight": [HIDDEN, WIDTH],
    "up_proj.weight": [HIDDEN, WIDTH],
    "down_proj.weight": [WIDTH, HIDDEN],
  };
  const values = randomTensors(shapes, 0.6);
  const own = x.subarray(0, rows * WIDTH);
  await withLayer(
    device,
    shapes,
    values,
    (weights) => ({ mlp: new GatedMLP(weights, WIDTH, HIDDEN), norm: new RMSNorm(weights.at("norm"), WIDTH, 1e-6) }),
    async ({ mlp, norm }) => {
      const y = await result(device, () => mlp.forward(device.upload(own, [rows, WIDTH], "x"), norm));
      const normed = rmsNorm(own, values["norm.weight"], 1e-6);
      const gate = matmul(normed, values["gate_proj.weight"], rows, WIDTH, HIDDEN);
      const up = matmul(normed, values["up_proj.weight"], rows, WIDTH, HIDDEN);
      const h = gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!);
      expectClose(y, matmul(h, values["down_proj.weight"], rows, HIDDEN, WIDTH, { residual: own }), "kernel");
    },
  );
});
