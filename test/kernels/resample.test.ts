import { it } from "vitest";
import { resample as reference } from "../../src/bench/reference/rows.js";
import { resample } from "../../src/kernels/resample.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals, random } from "../support/random.js";

const held = useDevice();

it("blends four rows of a matrix that is in several tensors", async () => {
  const { device } = held;
  const width = 67;
  const x = normals(20 * width, 1);
  const next = random(3);
  const sources = Uint32Array.from({ length: 4 * 11 }, () => Math.floor(next() * 20));
  const weights = Float32Array.from({ length: 2 * 11 }, () => next());
  const y = await result(device, () =>
    resample(
      [
        { first: 0, tensor: device.upload(x.slice(0, 7 * width), [7, width], "x") },
        { first: 7, tensor: device.upload(x.slice(7 * width), [13, width], "x") },
      ],
      device.upload(sources, [11, 4], "sources"),
      device.upload(weights, [11, 2], "weights"),
      "y",
    ),
  );
  expectClose(y, reference(x, sources, weights, width), "kernel");
});
