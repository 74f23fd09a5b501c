import { expect, test, vi } from "vitest";
import { UploadWindow } from "../../src/layers/upload-window.js";
import type { Device } from "../../src/runtime/device.js";

const MEBIBYTE = 2 ** 20;

/** A device whose `sync` resolves when `complete` is called, the oldest first. */
function mock() {
  const waiting: (() => void)[] = [];
  const sync = vi.fn(() => new Promise<void>((resolve) => waiting.push(resolve)));
  return { device: { sync } as unknown as Device, sync, complete: () => waiting.shift()?.() };
}

test("waits for the oldest uploads once there are more than the window has", async () => {
  const { device, sync, complete } = mock();
  const uploads = new UploadWindow(device, 20 * MEBIBYTE);
  await uploads.add(9 * MEBIBYTE);
  await uploads.add(9 * MEBIBYTE);
  expect(sync).toHaveBeenCalledTimes(2);
  let waited = false;
  const third = uploads.add(9 * MEBIBYTE).then(() => {
    waited = true;
  });
  await Promise.resolve();
  expect(waited).toBe(false);
  complete();
  await third;
  expect(waited).toBe(true);
});

test("counts small uploads together", async () => {
  const { device, sync } = mock();
  const uploads = new UploadWindow(device, 64 * MEBIBYTE);
  for (let i = 0; i < 8; i++) await uploads.add(MEBIBYTE);
  expect(sync).not.toHaveBeenCalled();
  await uploads.add(1);
  expect(sync).toHaveBeenCalledTimes(1);
});

test("throws the device's error where it waits", async () => {
  const sync = vi.fn(async () => {
    throw new Error("lost");
  });
  const uploads = new UploadWindow({ sync } as unknown as Device, 0);
  await expect(uploads.add(9 * MEBIBYTE)).rejects.toThrow("lost");
});
