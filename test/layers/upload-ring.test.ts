import { expect, test } from "vitest";
import { UploadRing } from "../../src/layers/upload-ring.js";
import { useDevice } from "../support/device.js";

const held = useDevice();
const words = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

test("parts of pieces reach their tensors, in the order of what is recorded, through few buffers that wait for each other", async () => {
  const { device } = held;
  const owner = device.arena("test");
  const [a, b] = owner.run(() => [
    device.upload(new Float32Array(4), [4], "a"),
    device.upload(new Float32Array(2), [2], "b"),
  ]);
  const ring = new UploadRing(device, 16, 2);
  const seen: number[][] = [];
  for (let i = 0; i < 5; i++) {
    // Each fills a buffer, and the second does not fit beside it.
    await ring.write(words(i, i + 1, i + 2), [
      { tensor: a!, from: 0, to: 8, offset: 8 },
      { tensor: b!, from: 8, to: 12, offset: 4 },
    ]);
    await ring.write(words(10 * i, 0), [{ tensor: a!, from: 0, to: 4, offset: 0 }]);
    ring.finish();
    // What is recorded now is not overtaken by the next pieces.
    const copy = owner.run(() => device.empty([4], "f32", "copy"));
    device.copy(a!, 0, copy, 0, 16);
    await ring.write(words(99, 99, 99, 99), [{ tensor: a!, from: 0, to: 16, offset: 0 }]);
    ring.finish();
    seen.push([...(await copy.read())]);
  }
  expect(seen).toEqual(
    [0, 1, 2, 3, 4].map((i) => [10 * i, 0, i, i + 1]).map(([x, , y, z], i) => [x, i ? 99 : 0, y, z]),
  );
  expect([...(await a!.read())]).toEqual([99, 99, 99, 99]);
  expect([...(await b!.read())]).toEqual([0, 6]);
  ring.dispose();
  owner.dispose();
});

test("bytes that are no whole words, pieces that are given up, and those after the ring is disposed", async () => {
  const { device } = held;
  const owner = device.arena("test");
  const tensor = owner.run(() => device.upload(Float32Array.of(1, 2), [2], "x"));
  const ring = new UploadRing(device, 16, 2);
  await ring.write(Uint8Array.of(0, ...words(7), 0), [{ tensor, from: 1, to: 5, offset: 4 }]);
  ring.finish();
  expect([...(await tensor.read())]).toEqual([1, 7]);
  await ring.write(words(5, 5), [{ tensor, from: 0, to: 8, offset: 0 }]);
  ring.reset();
  ring.finish();
  await ring.write(words(6), [{ tensor, from: 0, to: 4, offset: 0 }]);
  ring.finish();
  expect([...(await tensor.read())]).toEqual([6, 7]);
  await ring.write(words(8), [{ tensor, from: 0, to: 4, offset: 0 }]);
  ring.dispose();
  ring.finish();
  await ring.write(words(9), [{ tensor, from: 0, to: 4, offset: 0 }]);
  ring.finish();
  expect([...(await tensor.read())]).toEqual([6, 7]);
  owner.dispose();
});
