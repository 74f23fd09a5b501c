import { expect, test } from "vitest";
import { uploading } from "../../src/bench/uploads.js";
import { CHUNK_BYTES } from "../../src/layers/weights.js";
import { useDevice } from "../support/device.js";

const held = useDevice();

test("all pieces arrive in their places, and a missing one is an error", async () => {
  const { device } = held;
  const workload = uploading(8);
  expect(workload.otherBytes).toBe(8 * 2 ** 20);
  const prepared = await workload.prepare(device, "f32");
  expect(await prepared.verify()).toBe(0);
  prepared.dispose();
  expect(device.pool.liveBytes).toBe(0);
  const { write } = device;
  device.write = (tensor, data, offset) => {
    if (offset !== CHUNK_BYTES || (data as Float32Array).every((number) => number === 0))
      write.call(device, tensor, data, offset);
  };
  try {
    const lossy = await workload.prepare(device, "f32");
    expect(await lossy.verify()).toBe(Number.POSITIVE_INFINITY);
    lossy.dispose();
  } finally {
    Reflect.deleteProperty(device, "write");
  }
});
