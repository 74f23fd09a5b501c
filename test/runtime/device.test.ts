import { describe, expect, test } from "vitest";
import {
  DeviceLostError,
  DisposedError,
  KernelError,
  LimitError,
  type OcellusError,
  ShapeError,
} from "../../src/base/errors.js";
import { Device } from "../../src/runtime/device.js";
import { Kernel } from "../../src/runtime/kernel.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { result, useDevice } from "../support/device.js";

const add = new Kernel(
  "add",
  `
struct Params { count: u32, amount: f32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(LANES) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { x[id.x] += params.amount; }
}`,
  { LANES: 64 },
);

const broken = new Kernel(
  "broken",
  "@group(0) @binding(0) var<storage, read_write> x: array<f32>;\n@compute @workgroup_size(1) fn main() {\n  x[0] = nothing;\n}",
  {},
);

const held = useDevice();

function addTo(device: Device, x: Tensor, amount: number): void {
  device.run(add, { x }, { count: x.length, amount }, [Math.ceil(x.length / 64)]);
}

describe("running kernels", () => {
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

  test("a grid or a tensor over the limits is rejected, an empty grid is a no-op", async () => {
    const { device } = held;
    const values = await result(device, () => {
      const x = device.upload(Float32Array.of(7), [1], "x");
      expect(() => device.run(add, { x }, { count: 1, amount: 1 }, [65536])).toThrow(LimitError);
      device.run(add, { x }, { count: 1, amount: 1 }, [0]);
      const rows = device.facts.maxBindingBytes / 1024 + 1;
      expect(() => device.empty([rows, 256], "f32", "huge")).toThrow(/tensor huge \[\d+, 256\]: expected at most/);
      return x;
    });
    expect([...values]).toEqual([7]);
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
});

describe("memory", () => {
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

  test("a write does not overtake recorded commands", async () => {
    const { device } = held;
    const [before, after] = device.scope(() => {
      const x = device.upload(Float32Array.of(1), [1], "x");
      const copy = device.empty([1], "f32", "copy");
      addTo(device, x, 10);
      device.copy(x, 0, copy, 0, 4);
      device.write(x, Float32Array.of(100));
      addTo(device, x, 1);
      return [copy, x];
    });
    expect([...(await before!.read())]).toEqual([11]);
    expect([...(await after!.read())]).toEqual([101]);
    before!.dispose();
    after!.dispose();
  });

  test("an upload into memory that recorded commands still read leaves them alone", async () => {
    const { device } = held;
    device.pool.trim(); // no other memory of that size
    const copy = device.scope(() => {
      const copy = device.empty([64], "f32", "copy");
      const first = device.upload(new Float32Array(64).fill(1), [64], "first");
      device.copy(first, 0, copy, 0, 256);
      const { block } = first;
      first.dispose();
      expect(device.upload(new Float32Array(64).fill(2), [64], "second").block).toBe(block);
      return copy;
    });
    expect(new Set(await copy.read())).toEqual(new Set([1]));
    copy.dispose();
  });

  test("bytes, words and floats come back as they went", async () => {
    const { device } = held;
    const words = device.upload(Uint32Array.of(1, 2 ** 31, 2 ** 32 - 1), [3], "words");
    expect([...(await words.read("u32"))]).toEqual([1, 2 ** 31, 2 ** 32 - 1]);
    const bytes = device.upload(Uint8Array.of(1, 2, 3, 4, 5), [5], "bytes");
    expect([...new Uint8Array(await device.read(bytes)).subarray(0, 5)]).toEqual([1, 2, 3, 4, 5]);
    const window = new Float32Array(8).map((_, i) => i).subarray(2, 5);
    const floats = device.upload(window, [3], "floats");
    expect([...(await floats.read())]).toEqual([2, 3, 4]);
    expect(() => device.upload(window, [4], "short")).toThrow(/upload of short: expected 4 elements/);
    for (const tensor of [words, bytes, floats]) tensor.dispose();
    expect(device.pool.liveBytes).toBe(0);
  });

  test("views share memory and keep the number of elements", () => {
    const { device } = held;
    device.scope(() => {
      const x = device.empty([2, 6], "f32", "x");
      expect(x.view([3, 4]).block).toBe(x.block);
      expect(() => x.view([5])).toThrow(ShapeError);
      expect(() => x.size(2)).toThrow(ShapeError);
      expect(x.expect([-1, 6], "test")).toBe(x);
      expect(() => x.expect([6, -1], "test")).toThrow(/test, tensor x: expected \[6, any\], got \[2, 6\]/);
    });
  });
});

test("dispatches are timed where the adapter has timestamps, and only then", async () => {
  const { device } = held;
  device.profile.start();
  const x = device.upload(new Float32Array(1000), [1000], "x");
  for (let i = 0; i < 5; i++) addTo(device, x, 1);
  device.flush();
  const passes = await device.profile.stop();
  expect(passes.map(({ name }) => name)).toEqual(device.facts.timestamps ? Array(5).fill("add") : []);
  for (const { milliseconds } of passes) expect(milliseconds).toBeGreaterThanOrEqual(0);
  x.dispose();
});

describe("the end of a device", () => {
  test("a device that was passed in stays the caller's", async () => {
    const owner = await Device.open();
    const guest = Device.from(owner.gpu);
    const values = await result(guest, () => guest.upload(Float32Array.of(5), [1], "x"));
    expect([...values]).toEqual([5]);
    guest.dispose();
    expect(guest.pool.reservedBytes).toBe(0);
    const again = await result(owner, () => owner.upload(Float32Array.of(6), [1], "x"));
    expect([...again]).toEqual([6]);
    owner.dispose();
  });

  test("a disposed device refuses to work", async () => {
    const device = await Device.open();
    const x = device.upload(Float32Array.of(1), [1], "x");
    device.dispose();
    device.dispose();
    expect(device.pool.reservedBytes).toBe(0);
    expect(() => device.empty([1], "f32", "y")).toThrow(DisposedError);
    expect(() => addTo(device, x, 1)).toThrow(DisposedError);
    await expect(x.read()).rejects.toThrow(DisposedError);
    await expect(device.sync()).rejects.toThrow(DisposedError);
  });

  test("a lost device is a typed error, for the running call and for every later one", async () => {
    const device = await Device.open();
    const x = device.upload(new Float32Array(1000), [1000], "x");
    addTo(device, x, 1);
    const reading = x.read().catch((cause: unknown) => cause);
    device.gpu.destroy();
    const error = await reading;
    expect(error).toBeInstanceOf(DeviceLostError);
    expect((error as OcellusError).code).toBe("DEVICE_LOST");
    for (let i = 0; i < 2; i++) {
      expect(() => device.empty([1], "f32", "y")).toThrow(DeviceLostError);
      await expect(device.sync()).rejects.toThrow(DeviceLostError);
    }
    device.dispose();
    expect(device.pool.liveBytes).toBe(0);
  });
});
