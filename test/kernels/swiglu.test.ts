import { it } from "vitest";
import { swiglu as reference } from "../../src/bench/reference/swiglu.js";
import { swiglu } from "../../src/kernels/swiglu.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();

for (const width of [8, 16, 64, 72, 640, 4864]) {
  it(`rows of width ${width}`, async () => {
    const { device } = held;
    const x = normals(3 * 2 * width, width, 4);
    const y = await result(device, () => swiglu(device.upload(x, [3, 2 * width], "x")));
    expectClose(y, reference(x, 3), "kernel");
  });
}
it("huge negative and positive gates give finite results", async () => {
  const { device } = held;
  const y = await result(device, () =>
    swiglu(
      device.upload(
        Float32Array.from({ length: 16 }, (_, i) => (i >= 8 ? 1 : i % 2 ? 1e4 : -1e4)),
        [1, 16],
        "x",
      ),
    ),
  );
  expectClose(y, [0, 1e4, 0, 1e4, 0, 1e4, 0, 1e4], "kernel");
});
