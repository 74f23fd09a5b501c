import { expect, test } from "vitest";
import { CheckpointError } from "../../src/base/errors.js";
import { LayerSlot } from "../../src/layers/layer-slot.js";
import { useDevice } from "../support/device.js";

const held = useDevice();

test("the allocations of every layer are given the memory of the first layer's", () => {
  const { device } = held;
  const slot = new LayerSlot(device, "slot");
  const allocate = () =>
    slot.run(() => [device.empty([64, 8], "u32", "matrix"), device.empty([8], "f32", "norm")] as const);
  const first = allocate();
  const bytes = device.pool.liveBytes;
  slot.rewind();
  const second = allocate();
  expect(second.map(({ block }) => block)).toEqual(first.map(({ block }) => block));
  expect(device.pool.liveBytes).toBe(bytes);
  slot.dispose();
  expect(device.pool.liveBytes).toBe(0);
});

test("a layer that is larger than the first is refused by name", () => {
  const { device } = held;
  const slot = new LayerSlot(device, "slot");
  slot.run(() => device.empty([1024], "u32", "layers.0.weight"));
  slot.rewind();
  const larger = () => slot.run(() => device.empty([4096], "u32", "layers.1.weight"));
  expect(larger).toThrow(CheckpointError);
  expect(larger).toThrow("layers.1.weight: expected at most 4096 bytes");
  slot.dispose();
});
