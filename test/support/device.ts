import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { OpenOptions } from "../../src/runtime/adapter.js";
import { Device } from "../../src/runtime/device.js";
import type { Tensor } from "../../src/runtime/tensor.js";

/** Opens one device for a test file; after every test whatever it left on the device is checked and given back. */
export function useDevice(options: OpenOptions = {}): { readonly device: Device } {
  const held = { device: undefined as unknown as Device };
  beforeAll(async () => {
    held.device = await Device.open(options);
  });
  afterEach(async () => {
    held.device.tap = undefined;
    await held.device.sync();
  });
  afterAll(() => {
    held.device?.dispose();
    expect(held.device?.pool.reservedBytes).toBe(0);
  });
  return held;
}

/** The adapter with all it offers, and without subgroups, f16 and timestamps: kernels differ. */
export const FEATURES = ["all", "none"] as const;

/** Runs `work` in a scope and reads what it returns. */
export async function result(device: Device, work: () => Tensor): Promise<Float32Array> {
  const tensor = device.scope(work);
  const values = await tensor.read();
  tensor.dispose();
  return values;
}
