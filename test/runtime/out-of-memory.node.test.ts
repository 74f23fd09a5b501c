import { expect, test } from "vitest";
import { LimitError } from "../../src/base/errors.js";
import { Device } from "../../src/runtime/device.js";
import { result } from "../support/device.js";

test("memory that runs out is an error with a remedy, and what comes after works", async () => {
  const device = await Device.open();
  const arena = device.arena("much");
  // SwiftShader states a limit of 1 GiB for a buffer, and refuses one of just that size.
  const most = Math.min(device.facts.maxBufferBytes, device.facts.maxBindingBytes);
  const x = device.within(arena, () => device.empty([most / 4], "f32", "x"));
  await expect(x.read()).rejects.toThrow(LimitError);
  arena.dispose();
  device.pool.trim();
  expect(device.pool.reservedBytes).toBe(0);
  const again = await result(device, () => device.upload(Float32Array.of(7), [1], "x"));
  expect([...again]).toEqual([7]);
  device.dispose();
});
