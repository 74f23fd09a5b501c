import { expect, test } from "vitest";
import { SAMPLING_WORKLOADS } from "../../src/bench/sampling.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { useDevice } from "../support/device.js";

const held = useDevice();

test.each(SAMPLING_WORKLOADS.map((workload) => [workload.name, workload] as const))(
  "%s is right, and gives its memory back",
  async (_name, workload) => {
    const { device } = held;
    const prepared = await workload.prepare(device, "f32");
    expect(await prepared.verify()).toBe(0);
    prepared.dispose();
    expect(device.pool.liveBytes).toBe(0);
  },
);

test("a cutoff that is one rank off, and another token, are wrong", async () => {
  const { device } = held;
  /** Results of the device with one added to the number that is read first. */
  const read = device.read.bind(device);
  let first = true;
  device.read = async (tensor: Tensor) => {
    const bytes = await read(tensor);
    if (first) new Uint32Array(bytes)[0]!++;
    first = false;
    return bytes;
  };
  try {
    for (const workload of SAMPLING_WORKLOADS) {
      first = true;
      const prepared = await workload.prepare(device, "f32");
      expect(await prepared.verify(), workload.name).toBe(Number.POSITIVE_INFINITY);
      prepared.dispose();
    }
  } finally {
    Reflect.deleteProperty(device, "read");
  }
});
