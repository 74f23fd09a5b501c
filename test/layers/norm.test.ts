import { test } from "vitest";
import { layerNorm, rmsNorm } from "../../src/bench/reference/norm.js";
import { LayerNorm, RMSNorm } from "../../src/layers/norm.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { randomTensors, withLayer } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();
const [ROWS, WIDTH] = [4, 40];
const x = normals(ROWS * WIDTH, 1).map((value) => value + 2);
const shapes = { weight: [WIDTH], bias: [WIDTH] };
const values = randomTensors(shapes);
/** Large, so that a layer that forgets it is seen. */
const EPSILON = 0.3;

test("RMSNorm by its stored weight and epsilon", async () => {
  const { device } = held;
  await withLayer(
    device,
    { weight: [WIDTH] },
    values,
    (weights) => new RMSNorm(weights, WIDTH, EPSILON),
    async (layer) => {
      const y = await result(device, () => layer.forward(device.upload(x, [ROWS, WIDTH], "x")));
      expectClose(y, rmsNorm(x, values.weight, EPSILON), "kernel");
    },
  );
});

test("LayerNorm by its stored weight, bias and epsilon", async () => {
  const { device } = held;
  await withLayer(
    device,
    shapes,
    values,
    (weights) => new LayerNorm(weights, WIDTH, EPSILON),
    async (layer) => {
      const y = await result(device, () => layer.forward(device.upload(x, [ROWS, WIDTH], "x")));
      expectClose(y, layerNorm(x, values.weight, values.bias, EPSILON), "kernel");
    },
  );
});
