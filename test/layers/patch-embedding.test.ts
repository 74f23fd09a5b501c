import { expect, test } from "vitest";
import { matmul } from "../../src/bench/reference/matmul.js";
import { patchify } from "../../src/bench/reference/rows.js";
import { PatchEmbedding } from "../../src/layers/patch-embedding.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { randomTensors, withLayer } from "../support/layers.js";
import { normals, random } from "../support/random.js";

const held = useDevice();

test.each([
  [13, 4],
  [15, 5],
])("tiles of %i pixels: patches of %i are projected and get the position of their cell", async (side, patch) => {
  const { device } = held;
  const [tiles, width] = [2, 16];
  const cells = Math.floor(side / patch);
  const shapes = {
    "patch_embedding.weight": [width, 3, patch, patch],
    "patch_embedding.bias": [width],
    "position_embedding.weight": [cells * cells, width],
  };
  const values = randomTensors(shapes);
  const next = random(4);
  const pixels = Uint8Array.from({ length: tiles * side * side * 3 }, () => Math.floor(next() * 256));
  const levels = normals(768, 9);
  const make = (weights: ConstructorParameters<typeof PatchEmbedding>[0]) =>
    // Weights that are quantised otherwise stay as they are stored here.
    new PatchEmbedding(weights.storedAs("q4"), width, patch, cells, device.upload(levels, [3, 256], "levels"));
  await withLayer(device, shapes, values, make, async (layer) => {
    expect(layer.weight.type).toBe("f32");
    const y = await result(device, () => layer.forward(device.upload(pixels, [tiles, side, side, 3], "pixels")));
    const truth = matmul(
      patchify(pixels, levels, tiles, side, patch),
      values["patch_embedding.weight"],
      tiles * cells * cells,
      3 * patch * patch,
      width,
      { bias: values["patch_embedding.bias"], residual: values["position_embedding.weight"] },
    );
    expectClose(y, truth, "kernel");
  });
});
