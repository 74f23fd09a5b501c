import { expect, test } from "vitest";
import { DisposedError, ShapeError } from "../../src/base/errors.js";
import { partStep } from "../../src/runtime/tensor.js";
import { addTo } from "../support/add.js";
import { useDevice } from "../support/device.js";

const held = useDevice();

test("bytes, words and floats come back as they went", async () => {
  const { device } = held;
  const words = device.upload(Uint32Array.of(1, 2 ** 31, 2 ** 32 - 1), [3], "words");
  expect([...(await words.read("u32"))]).toEqual([1, 2 ** 31, 2 ** 32 - 1]);
  const bytes = device.upload(Uint8Array.of(1, 2, 3, 4, 5), [5], "bytes");
  expect([...new Uint8Array(await device.read(bytes)).subarray(0, 5)]).toEqual([1, 2, 3, 4, 5]);
  const window = new Float32Array(8).map((_, i) => i).subarray(2, 5);
  const floats = device.upload(window, [3], "floats");
  expect([...(await floats.read())]).toEqual([2, 3, 4]);
  expect(() => device.upload(window, [4], "short")).toThrow(/upload of short: expected 4 elements/);
  for (const tensor of [words, bytes, floats]) tensor.dispose();
  expect(device.pool.liveBytes).toBe(0);
});

test("views share memory and keep the number of elements", () => {
  const { device } = held;
  device.scope(() => {
    const x = device.empty([2, 6], "f32", "x");
    expect(x.view([3, 4]).block).toBe(x.block);
    expect(() => x.view([5])).toThrow(ShapeError);
    expect(() => x.size(2)).toThrow(ShapeError);
    expect(x.expect([-1, 6], "test")).toBe(x);
    expect(() => x.expect([6, -1], "test")).toThrow(/test, tensor x: expected \[6, any\], got \[2, 6\]/);
  });
});

test("a part is written, copied, bound and read where it begins", async () => {
  const { device } = held;
  const x = device.upload(new Float32Array(256).fill(1), [4, 64], "x");
  const y = device.upload(new Float32Array(64).fill(2), [64], "y");
  const row = x.part(128, [64], "row 2");
  addTo(device, row, 4);
  addTo(device, x.part(192, [1, 64]).view([64]), 8);
  device.copy(y, 0, x.part(64, [64]), 4, 8);
  device.copy(row, 0, y, 0, 4);
  device.write(row, Float32Array.of(16), 4);
  expect([...(await row.read())].slice(0, 3)).toEqual([5, 16, 5]);
  expect([...(await y.read())].slice(0, 2)).toEqual([5, 2]);
  const values = await x.read();
  expect([0, 64, 65, 66, 67, 128, 129, 192, 255].map((i) => values[i])).toEqual([1, 1, 2, 2, 1, 5, 16, 9, 9]);
  expect(x.part(128, [2, 64]).part(64, [1]).offsetBytes).toBe(3 * 256);
  for (const tensor of [x, y]) tensor.dispose();
});

test("a part lies within its tensor and begins where a binding may", () => {
  const { device } = held;
  device.scope(() => {
    const x = device.empty([8, 24], "f32", "x");
    expect(partStep(24 * 4)).toBe(8);
    expect([4, 64, 256, 288, 1088].map(partStep)).toEqual([64, 4, 1, 8, 4]);
    expect(() => x.part(24, [24])).toThrow(/part of x: expected elements of 192 from a multiple of 256 bytes on/);
    expect(() => x.part(128, [65])).toThrow(ShapeError);
  });
});

test("says what it is, and frees its memory early", () => {
  const { device } = held;
  const x = device.empty([2, 3], "f16", "x");
  expect([x.length, x.sizeBytes, x.size(-1), `${x}`]).toEqual([6, 12, 3, "x f16[2, 3] (12 bytes)"]);
  const view = x.view([6], "flat");
  expect(view.label).toBe("flat");
  x.dispose();
  expect(() => view.check("test")).toThrow(DisposedError);
  expect(device.pool.liveBytes).toBe(0);
});
