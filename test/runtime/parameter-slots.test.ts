import { expect, test } from "vitest";
import { KernelError } from "../../src/base/errors.js";
import { Device } from "../../src/runtime/device.js";
import { Kernel } from "../../src/runtime/kernel.js";
import { add, addTo } from "../support/add.js";
import { result, useDevice } from "../support/device.js";

const held = useDevice();

test("more dispatches than parameter slots, each with its own parameters", async () => {
  const { device } = held;
  const values = await result(device, () => {
    const x = device.upload(new Float32Array(3), [3], "x");
    for (let i = 1; i <= 300; i++) addTo(device, x, i);
    return x;
  });
  expect([...values]).toEqual([45150, 45150, 45150]);
});

test("parameters beside immediate data: too many, or on a device without", async () => {
  const names = Array.from({ length: 20 }, (_, i) => `p${i}`);
  const many = new Kernel(
    "many",
    `
struct Params { ${names.map((name) => `${name}: u32`).join(", ")} }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1) fn main() { x[0] += f32(${names.map((name) => `params.${name}`).join(" + ")}); }`,
    {},
  );
  const parameters = Object.fromEntries(names.map((name, i) => [name, i]));
  const bare = await Device.open({ features: "none" });
  expect(bare.facts.immediateBytes).toBe(0);
  for (const device of [held.device, bare]) {
    const values = await result(device, () => {
      const x = device.upload(new Float32Array(1), [1], "x");
      for (let i = 0; i < 300; i++) {
        addTo(device, x, i);
        device.run(many, { x }, { ...parameters, p0: i }, [1]);
      }
      return x;
    });
    expect([...values]).toEqual([2 * 44850 + 300 * 190]);
  }
  bare.dispose();
});

test("names of tensors and parameters must be those of the text", () => {
  const { device } = held;
  device.scope(() => {
    const x = device.upload(new Float32Array(4), [4], "x");
    const parameters = { count: 4, amount: 1 };
    expect(() => device.run(add, {}, parameters, [1])).toThrow(/kernel add: expected a tensor for binding `x`/);
    expect(() => device.run(add, { x, y: x }, parameters, [1])).toThrow(/expected the bindings x, got x, y/);
    expect(() => device.run(add, { x }, { count: 4 }, [1])).toThrow(/expected a parameter `amount`/);
    expect(() => device.run(add, { x }, { ...parameters, total: 1 }, [1])).toThrow(/got total/);
    expect(() => device.run(add, {}, parameters, [1])).toThrow(KernelError);
  });
});
