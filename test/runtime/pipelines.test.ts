import { expect, test, vi } from "vitest";
import { KernelError } from "../../src/base/errors.js";
import { Kernel } from "../../src/runtime/kernel.js";
import { add, addTo } from "../support/add.js";
import { result, useDevice } from "../support/device.js";

const broken = new Kernel(
  "broken",
  "@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n@compute @workgroup_size(1) fn main() {\n  x[0] = nothing;\n}",
  {},
);

const held = useDevice();

test("a text is compiled once, whatever kernel has it; other constants are another text", async () => {
  const { device } = held;
  const compiled = vi.spyOn(device.gpu, "createComputePipeline");
  const kernel = new Kernel("once", add.body, { LANES: 16 });
  const values = await result(device, () => {
    const x = device.upload(new Float32Array(4), [4], "x");
    const parameters = { count: 4, amount: 1 };
    for (const same of [kernel, kernel, new Kernel("again", add.body, { LANES: 16 }), kernel.variant({ LANES: 8 })]) {
      device.run(same, { x }, parameters, [1]);
    }
    return x;
  });
  expect([...values]).toEqual([4, 4, 4, 4]);
  expect(compiled.mock.calls.map(([{ label }]) => label)).toEqual(["once", "once"]);
  compiled.mockRestore();
});

test("a shader fault names the kernel and prints its lines; afterwards the device works", async () => {
  const { device } = held;
  for (let round = 0; round < 2; round++) {
    const run = async () => {
      const x = device.scope(() => {
        const x = device.upload(new Float32Array(1), [1], "x");
        device.run(broken, { x }, {}, [1]);
        return x;
      });
      try {
        await x.read();
      } finally {
        x.dispose();
      }
    };
    const error = await run().catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(KernelError);
    expect((error as KernelError).message).toMatch(/kernel broken: .*line 3:\d+ error: .*nothing/);
    expect((error as KernelError).message).toContain("   3   x[0] = nothing;");
    const values = await result(device, () => {
      const x = device.upload(Float32Array.of(1, 2), [2], "x");
      addTo(device, x, 1);
      return x;
    });
    expect([...values]).toEqual([2, 3]);
    await device.sync();
  }
  expect(device.pool.liveBytes).toBe(0);
});
