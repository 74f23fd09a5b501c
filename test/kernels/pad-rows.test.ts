import { expect, it } from "vitest";
import { padRows } from "../../src/kernels/pad-rows.js";
import { result, useDevice } from "../support/device.js";

const held = useDevice();

it("widens with zeros", async () => {
  const { device } = held;
  const y = await result(device, () => padRows(device.upload(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3], "x"), 8));
  expect([...y]).toEqual([1, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0]);
});

it("pads rows that are wider than a workgroup, and keeps those that need no padding", async () => {
  const { device } = held;
  const x = Float32Array.from({ length: 2 * 67 }, (_, i) => i + 1);
  const wide = await result(device, () => padRows(device.upload(x, [2, 67], "x"), 200));
  const row = (r: number) => [...x.subarray(r * 67, (r + 1) * 67), ...new Array<number>(133).fill(0)];
  expect([...wide]).toEqual([...row(0), ...row(1)]);
  expect(await result(device, () => padRows(device.upload(x, [1, 2, 67], "x"), 67))).toEqual(x);
});
