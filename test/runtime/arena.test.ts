import { expect, test } from "vitest";
import { DisposedError, ShapeError } from "../../src/base/errors.js";
import { addTo } from "../support/add.js";
import { useDevice } from "../support/device.js";

const held = useDevice();

test("an arena owns until it is disposed, and not after", () => {
  const { device } = held;
  const arena = device.arena("weights");
  const tensor = arena.run(() => device.scope(() => device.empty([4], "f32", "w")));
  expect(device.pool.liveBlocks).toBe(1);
  arena.dispose();
  expect(device.pool.liveBlocks).toBe(0);
  expect(() => arena.run(() => 1)).toThrow(DisposedError);
  expect(() => addTo(device, tensor, 1)).toThrow(/kernel add, binding x, tensor w: expected a live tensor/);
  expect(() => device.copy(tensor, 0, tensor, 0, 4)).toThrow(DisposedError);
});

test("a scope gives back what it made, also when it throws", () => {
  const { device } = held;
  const fault = () => {
    device.empty([1000], "f32", "a");
    device.scope(() => device.empty([1000], "f32", "b"));
    throw new RangeError("inside");
  };
  expect(() => device.scope(fault)).toThrow("inside");
  expect([device.pool.liveBytes, device.pool.liveBlocks]).toEqual([0, 0]);
  // The owner is the outer one again.
  const tensor = device.empty([1], "f32", "after");
  expect(tensor.block.owner?.label).toBe("device");
  tensor.dispose();
});

test("what a scope returns lives on, in arrays and objects too", () => {
  const { device } = held;
  const kept = device.scope(() => {
    device.empty([10], "f32", "gone");
    return { pair: [device.empty([1], "f32", "a"), device.empty([2], "f32", "b")] };
  });
  expect(device.pool.liveBlocks).toBe(2);
  for (const tensor of kept.pair) tensor.dispose();
  expect(device.pool.liveBlocks).toBe(0);
});

test("a scope must be synchronous", () => {
  const { device } = held;
  expect(() => device.scope(async () => device.empty([4], "f32", "late"))).toThrow(ShapeError);
  expect(device.pool.liveBytes).toBe(0);
});

test("adopts tensors wherever they are, once", () => {
  const { device } = held;
  const [session, other] = [device.arena("session"), device.arena("other")];
  const tensors = device.scope(() => ({ a: device.empty([1], "f32", "a"), rest: [device.empty([2], "f32", "b")] }));
  session.adopt(tensors);
  session.adopt(tensors.a);
  expect([session.blocks.size, tensors.a.block.owner]).toEqual([2, session]);
  other.adopt([tensors.a, 7, null, "text"]);
  session.dispose();
  expect(() => tensors.rest[0]!.check("test")).toThrow(DisposedError);
  expect(tensors.a.block.owner).toBe(other);
  other.dispose();
  // The memory of a disposed tensor is nobody's.
  session.adopt(tensors);
  expect([session.blocks.size, device.pool.liveBlocks]).toEqual([0, 0]);
});
