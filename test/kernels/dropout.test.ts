import { expect, test } from "vitest";
import { dropout as reference } from "../../src/bench/reference/dropout.js";
import { dropout } from "../../src/kernels/dropout.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();
const up = (values: Float32Array, ...shape: number[]) => held.device.upload(values, shape, "x");

test.each([
  [1, 1, 0.5],
  [3, 40, 0.05],
  [70, 33, 0.3],
  [5, 100, 0],
])("of [%i, %i] at rate %d, and added to another", async (rows, width, rate) => {
  const [x, sum] = [normals(rows * width, 1), normals(rows * width, 2)];
  for (const key of [0, 1, 0xffff_ffff]) {
    const y = await result(held.device, () => dropout(up(x, rows, width), { rate, key }));
    expectClose(y, reference(x, rate, key), "kernel");
    const added = await result(held.device, () => {
      const into = up(sum, rows, width);
      dropout(up(x, rows, width), { rate, key }, into);
      return into;
    });
    expectClose(added, reference(x, rate, key, sum), "kernel");
  }
});

/** Which of the elements are dropped. */
const dropped = (count: number, rate: number, key: number): boolean[] =>
  Array.from(reference(new Float32Array(count).fill(1), rate, key), (y) => y === 0);

test("the share of dropped elements is the rate, for every key, and masks of two keys are independent", () => {
  const [count, rate] = [100_000, 0.2];
  const masks = [0, 1, 2, 0x9e3779b9].map((key) => dropped(count, rate, key));
  // Four standard deviations.
  const within = (share: number) => 4 * Math.sqrt((share * (1 - share)) / count);
  for (const [i, mask] of masks.entries()) {
    expect(Math.abs(mask.filter(Boolean).length / count - rate)).toBeLessThan(within(rate));
    for (const other of masks.slice(i + 1)) {
      const both = mask.filter((own, j) => own && other[j]).length / count;
      expect(Math.abs(both - rate ** 2)).toBeLessThan(within(rate ** 2));
    }
    // Neighbours too.
    const runs = mask.filter((own, j) => own && mask[j + 1]).length / count;
    expect(Math.abs(runs - rate ** 2)).toBeLessThan(within(rate ** 2));
  }
});
