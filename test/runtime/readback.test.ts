import { expect, test } from "vitest";
import { DisposedError } from "../../src/base/errors.js";
import { Device } from "../../src/runtime/device.js";
import { Readback } from "../../src/runtime/readback.js";
import { addTo } from "../support/add.js";
import { useDevice } from "../support/device.js";

const held = useDevice();

const floats = (bytes: ArrayBuffer): number[] => [...new Float32Array(bytes)];

test("a copy has what was recorded before it, and not what was recorded after", async () => {
  const { device } = held;
  const x = device.upload(new Float32Array(2), [2], "x");
  const readbacks = [0, 1, 2].map((i) => new Readback(device, 8, `${i}`));
  for (const readback of readbacks) {
    addTo(device, x, 1);
    readback.begin(x);
    expect(readback.arrivedAt).toBeUndefined();
  }
  addTo(device, x, 1);
  const before = performance.now();
  const values = [];
  for (const readback of readbacks) values.push(floats(await readback.bytes()));
  expect(values).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
  for (const { arrivedAt } of readbacks) expect(arrivedAt! - before).toBeLessThan(performance.now() - before + 1);
  // Again, and only the beginning.
  readbacks[0]!.begin(x, 4);
  expect(floats(await readbacks[0]!.bytes())).toEqual([4]);
  for (const readback of readbacks) readback.dispose();
  x.dispose();
});

test("one that nobody waits for is no unhandled rejection, and one of a disposed device rejects", async () => {
  const device = await Device.open();
  const x = device.upload(new Float32Array(2), [2], "x");
  const [dropped, awaited] = [new Readback(device, 8, "dropped"), new Readback(device, 8, "awaited")];
  dropped.begin(x);
  awaited.begin(x);
  device.dispose();
  await expect(awaited.bytes()).rejects.toThrow(DisposedError);
  expect(dropped.arrivedAt).toBeUndefined();
});
