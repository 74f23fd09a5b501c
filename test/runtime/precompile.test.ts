import { expect, test } from "vitest";
import { KernelError } from "../../src/base/errors.js";
import { Kernel } from "../../src/runtime/kernel.js";
import { result, useDevice } from "../support/device.js";

const body = `
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(1) fn main() { x[0] += STEP; }`;
const add = new Kernel("add", body, {}, ["const STEP = 2.0;"]);
const held = useDevice();

test("precompile executes nothing, and its pipelines are used afterwards", async () => {
  const { device } = held;
  const values = await result(device, () => {
    const x = device.upload(Float32Array.of(1), [1], "x");
    device.precompile(() => {
      device.write(x, Float32Array.of(9));
      device.run(add, { x }, {}, [1]);
      const big = device.empty([device.facts.maxBindingBytes / 4], "f32", "big");
      device.copy(big, 0, x, 0, 4);
      expect(device.pool.liveBlocks).toBe(1);
    });
    return x;
  });
  expect([...values]).toEqual([1]);
  await device.prepared();
  const after = await result(device, () => {
    const x = device.upload(Float32Array.of(1), [1], "x");
    device.run(add, { x }, {}, [1]);
    return x;
  });
  expect([...after]).toEqual([3]);
});

test("a kernel that is used before it is compiled is right too", async () => {
  const { device } = held;
  const kernel = new Kernel("hasty", body, {}, ["const STEP = 5.0;"]);
  const run = () => {
    const x = device.upload(Float32Array.of(1), [1], "x");
    device.run(kernel, { x }, {}, [1]);
    return x;
  };
  device.precompile(() => void run());
  expect([...(await result(device, run))]).toEqual([6]);
  await device.prepared();
  expect([...(await result(device, run))]).toEqual([6]);
});

test.each([
  ["does not parse", "const STEP = nothing;", /line \d+:\d+ error: .*nothing/],
  [
    "does not fit the adapter",
    "const STEP = 1.0; var<workgroup> large: array<vec4f, 1000000>;\nfn f() { large[0].x = 1.0; }",
    /kernel faulty/,
  ],
])("a kernel that %s is reported once, with its lines, and the device works on", async (_what, header, message) => {
  const { device } = held;
  const text = header.includes("large") ? body.replace("x[0] +=", "f(); x[0] +=") : body;
  const faulty = new Kernel("faulty", text, {}, [header]);
  device.precompile(() => {
    const x = device.empty([1], "f32", "x");
    device.run(faulty, { x }, {}, [1]);
  });
  const error = await device.prepared().catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(KernelError);
  expect((error as KernelError).message).toMatch(message);
  expect((error as KernelError).message).toContain("fn main()");
  await device.prepared();
  await device.sync();
});

test("taps are disabled during precompile, and restored after an error", () => {
  const { device } = held;
  const seen: string[] = [];
  device.tap = (name) => void seen.push(name);
  expect(() =>
    device.precompile(() => {
      device.tap?.("inside", device.empty([1], "f32", "x"));
      throw new RangeError("inside");
    }),
  ).toThrow("inside");
  device.scope(() => device.tap?.("outside", device.empty([1], "f32", "x")));
  expect(seen).toEqual(["outside"]);
});
