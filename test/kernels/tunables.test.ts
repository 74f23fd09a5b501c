import { afterEach, describe, expect, test } from "vitest";
import { heldMatrix } from "../../src/bench/reference/layers.js";
import { matmul as matmulReference } from "../../src/bench/reference/matmul.js";
import { layerNorm as layerNormReference, rmsNorm as rmsNormReference } from "../../src/bench/reference/norm.js";
import { normals } from "../../src/bench/synthetic.js";
import { matmul } from "../../src/kernels/matmul.js";
import { layerNorm, rmsNorm } from "../../src/kernels/norm.js";
import { packMatrix } from "../../src/kernels/pack.js";
import { MATVEC_BLOCKS, MATVEC_SLICES, NORM_LANES } from "../../src/kernels/tunables.js";
import { expectClose } from "../support/compare.js";
import { FEATURES, result, useDevice } from "../support/device.js";

describe.each(FEATURES)("tuned kernels, features %s", (features) => {
  const held = useDevice({ features });
  afterEach(() => {
    const { tuning } = held.device.facts;
    for (const name of Object.keys(tuning)) delete tuning[name];
  });

  const choices = [MATVEC_BLOCKS, MATVEC_SLICES].flatMap(({ name, values }) =>
    values.map((value) => [name, value] as const),
  );
  test.each(choices)("one row with %s %s", async (name, value) => {
    const { device } = held;
    device.facts.tuning[name] = value;
    const [inner, columns] = [100, 97];
    const [x, bias, residual] = [normals(inner, 1), normals(columns, 2), normals(columns, 3)];
    for (const type of ["f32", "q4"] as const) {
      const weights = packMatrix(device, normals(inner * columns, 4, 0.1), [columns, inner], "w", type);
      const y = await result(device, () =>
        matmul(device.upload(x, [1, inner], "x"), weights, {
          bias: device.upload(bias, [columns], "bias"),
          residual: device.upload(residual, [1, columns], "residual"),
        }),
      );
      expectClose(y, matmulReference(x, await heldMatrix(weights), 1, inner, columns, { bias, residual }), "kernel");
      for (const { tensor } of weights.blocks) tensor.dispose();
    }
  });

  test.each(NORM_LANES.values)("norms with %i lanes a row", async (lanes) => {
    const { device } = held;
    device.facts.tuning[NORM_LANES.name] = lanes;
    for (const width of [1, 33, 257]) {
      const [x, w, b] = [normals(3 * width, 1), normals(width, 2), normals(width, 3)];
      const upload = (numbers: Float32Array, shape: number[]) => device.upload(numbers, shape, "x");
      const root = await result(device, () => rmsNorm(upload(x, [3, width]), upload(w, [width]), 1e-6));
      expectClose(root, rmsNormReference(x, w, 1e-6), "kernel");
      const mean = await result(device, () =>
        layerNorm(upload(x, [3, width]), upload(w, [width]), upload(b, [width]), 1e-6),
      );
      expectClose(mean, layerNormReference(x, w, b, 1e-6), "kernel");
    }
    expect(device.pool.liveBytes).toBe(0);
  });
});
