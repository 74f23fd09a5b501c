import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { OpenOptions } from "../../src/runtime/adapter.js";
import { Device } from "../../src/runtime/device.js";
import type { Tensor } from "../../src/runtime/tensor.js";

const shared = new Map<string, Promise<Device>>();

/** One device for all test files of a process that ask for the same: compiling its kernels takes longer than most tests. */
export async function sharedDevice(options: OpenOptions = {}): Promise<Device> {
  const key = JSON.stringify(options);
  const device = shared.get(key) ?? Device.open(options);
  shared.set(key, device);
  return device;
}

/** At the end of a test file: nothing of it is left on the shared device. */
export async function checkGivenBack(device: Device): Promise<void> {
  await device.sync();
  expect(device.pool.liveBytes).toBe(0);
  device.pool.trim();
  expect(device.pool.reservedBytes).toBe(0);
}

/** The shared device for a test file; after every test whatever it left on the device is checked. */
export function useDevice(options: OpenOptions = {}): { readonly device: Device } {
  const held = { device: undefined as unknown as Device };
  beforeAll(async () => {
    held.device = await sharedDevice(options);
  });
  afterEach(async () => {
    held.device.tap = undefined;
    await held.device.sync();
  });
  afterAll(() => checkGivenBack(held.device));
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
