import { expect, it } from "vitest";
import { chooseToken as reference } from "../../src/bench/reference/choose.js";
import { argmax } from "../../src/kernels/argmax.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();

/** What is told where there is no number. */
const NONE = 2 ** 32 - 1;

for (const count of [1, 2, 255, 256, 257, 1031, 151936]) {
  it(`of ${count}, ignoring what follows, the lowest of equals`, async () => {
    const { device } = held;
    const x = normals(count + 5, count);
    x.fill(1e9, count);
    const at = Math.floor(count / 2);
    x[at] = 50;
    if (at + 1 < count) x[count - 1] = 50;
    const y = device.scope(() => argmax(device.upload(x, [x.length], "x"), count));
    expect((await y.read("u32"))[0]).toBe(at);
    y.dispose();
  });
}

it("prefers numbers to NaN, treats zero and minus zero as equal, and accepts minus infinity as the last resort", async () => {
  const { device } = held;
  const { NaN: none, NEGATIVE_INFINITY: lowest, POSITIVE_INFINITY: highest } = Number;
  const rows = [
    [none, 1, none, 2],
    [none, -0, 0, -1],
    [-1, 0, -0, none],
    [none, lowest, lowest, none],
    [none, -3e38, lowest, none],
    [1, highest, 3e38, none],
    [none, none, none, none],
    [-1e-42, -2, -1e-40, none],
  ];
  for (const row of rows) {
    const best = device.scope(() => argmax(device.upload(Float32Array.from(row), [4], "x"), 4));
    const truth = reference(row, { count: 4 });
    expect((await best.read("u32"))[0], String(row)).toBe(truth === 4 ? NONE : truth);
    best.dispose();
  }
});
