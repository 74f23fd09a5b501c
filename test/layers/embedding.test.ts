import { test } from "vitest";
import { matmul } from "../../src/bench/reference/matmul.js";
import { gather } from "../../src/bench/reference/rows.js";
import { Embedding } from "../../src/layers/embedding.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { randomTensors, withLayer } from "../support/layers.js";
import { normals } from "../support/random.js";

const held = useDevice();

test("rows by id, and logits by the same table", async () => {
  const { device } = held;
  const [vocabulary, width] = [77, 24];
  const shapes = { weight: [vocabulary, width] };
  const values = randomTensors(shapes);
  await withLayer(
    device,
    shapes,
    values,
    (weights) => new Embedding(weights, vocabulary, width),
    async (layer) => {
      const ids = Uint32Array.of(76, 0, 31, 32, 0);
      const rows = await result(device, () => layer.forward(device.upload(ids, [5], "ids")));
      expectClose(rows, gather(ids, values.weight, width), "exact");
      const x = normals(2 * width, 1);
      const logits = await result(device, () => layer.logits(device.upload(x, [2, width], "x")));
      expectClose(logits, matmul(x, values.weight, 2, width, vocabulary), "kernel");
    },
  );
});
