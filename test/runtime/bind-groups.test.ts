import { expect, test, vi } from "vitest";
import { Kernel } from "../../src/runtime/kernel.js";
import { useDevice } from "../support/device.js";

const held = useDevice();

const add = new Kernel(
  "add",
  `
struct Params { by: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main() { y[0] = x[0] + params.by + f32(arrayLength(&x)); }
`,
  {},
);

test("the same kernel over the same buffers takes the group made before; other sizes and buffers do not", async () => {
  const { device } = held;
  const made = vi.spyOn(device.gpu, "createBindGroup");
  const x = device.upload(Float32Array.of(1, 2, 3, 4), [4], "x");
  const y = device.upload(new Float32Array(1), [1], "y");
  const sum = async (by: number) => {
    device.run(add, { x, y }, { by }, [1]);
    return (await y.read())[0];
  };
  expect(await sum(1)).toBe(6);
  expect(await sum(2)).toBe(7);
  expect(made).toHaveBeenCalledTimes(1);
  // A smaller tensor in the same buffer is bound in its own size.
  const { block } = x;
  x.dispose();
  const shorter = device.upload(Float32Array.of(5, 6), [2], "x");
  expect(shorter.block).toBe(block);
  device.run(add, { x: shorter, y }, { by: 0 }, [1]);
  expect((await y.read())[0]).toBe(7);
  expect(made).toHaveBeenCalledTimes(2);
  // After the pool gave its buffers back, nothing is bound to one of them.
  shorter.dispose();
  device.pool.trim();
  const again = device.upload(Float32Array.of(8), [1], "x");
  expect(again.block).not.toBe(block);
  device.run(add, { x: again, y }, { by: 0 }, [1]);
  expect((await y.read())[0]).toBe(9);
  expect(made).toHaveBeenCalledTimes(3);
  made.mockRestore();
  again.dispose();
  y.dispose();
});

test("what is recorded, submitted and read is counted", async () => {
  const { device } = held;
  const before = { ...device.counters };
  const [x, y] = ["x", "y"].map((label) => device.upload(Float32Array.of(1), [1], label));
  for (let i = 0; i < 5; i++) device.run(add, { x: x!, y: y! }, { by: i }, [1]);
  device.run(add, { x: x!, y: y! }, { by: 0 }, [0]); // nothing to do
  await y!.read();
  await device.sync(); // nothing was recorded since
  const { dispatches, submissions, readbacks } = device.counters;
  expect([dispatches - before.dispatches, submissions - before.submissions, readbacks - before.readbacks]).toEqual([
    5, 1, 1,
  ]);
  for (const tensor of [x, y]) tensor!.dispose();
});
