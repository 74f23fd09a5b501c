import { expect, test } from "vitest";
import { DisposedError, ShapeError } from "../../src/base/errors.js";
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
