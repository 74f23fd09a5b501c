import { afterEach, describe, expect, test } from "vitest";
import { DeviceLostError, DisposedError, LimitError, type OcellusError } from "../../src/base/errors.js";
import { Device } from "../../src/runtime/device.js";
import { WorkBudget } from "../../src/runtime/work-budget.js";
import { add, addTo } from "../support/add.js";
import { result, useDevice } from "../support/device.js";

const held = useDevice();

describe("running kernels", () => {
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
});

describe("submissions", () => {
  const software = new WorkBudget(true, async () => {}).rates;
  afterEach(() => {
    held.device.budget.rates = software;
  });

  /** Submissions of so many dispatches, each of 1 TFLOP, before the last flush. */
  function submissions(dispatches: number, within = (work: () => void) => work()): number {
    const { device } = held;
    device.flush();
    const before = device.counters.submissions;
    device.scope(() => {
      const x = device.upload(Float32Array.of(7), [1], "x");
      within(() => {
        for (let i = 0; i < dispatches; i++)
          device.run(add, { x }, { count: 1, amount: 1 }, [1], { flops: 1e12, bytes: 4 });
      });
    });
    return device.counters.submissions - before;
  }

  test("after 128 dispatches, or 1,024 together, whatever their work on software adapters", () => {
    const { device } = held;
    device.budget.rates = software;
    expect([128, 129, 257].map((dispatches) => submissions(dispatches))).toEqual([0, 1, 2]);
    expect(submissions(1024, (work) => device.together(work))).toBe(0);
    expect(submissions(1025, (work) => device.together(work))).toBe(1);
  });

  test("before they take too long on GPUs, together or not", () => {
    const { device } = held;
    // 33 ms each
    device.budget.rates = { flops: 3e10, bytes: 1e9 };
    expect([3, 4, 10].map((dispatches) => submissions(dispatches))).toEqual([0, 1, 3]);
    device.budget.rates = { flops: 3e10, bytes: 1e9 };
    expect(submissions(10, (work) => device.together(work))).toBe(3);
  });

  test("copies and dispatches that state no work count by their bytes", () => {
    const { device } = held;
    device.flush();
    device.scope(() => {
      const [x, y] = ["x", "y"].map((label) => device.empty([1000], "f32", label));
      device.budget.rates = { flops: 1e12, bytes: 100 }; // x in 40 ms
      const before = device.counters.submissions;
      for (let i = 0; i < 5; i++) addTo(device, x!, 1);
      expect(device.counters.submissions - before).toBe(2);
      device.budget.rates = { flops: 1e12, bytes: 100 };
      device.copy(x!, 0, y!, 0, 4000);
      expect(device.counters.submissions - before).toBe(3);
      device.flush();
    });
  });
});

describe("memory", () => {
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

  test("a device that still learns the rates of its submissions may end", async () => {
    for (const end of [(device: Device) => device.dispose(), (device: Device) => device.gpu.destroy()]) {
      const device = await Device.open();
      device.budget.rates = { flops: 1, bytes: 1 };
      const x = device.upload(new Float32Array(1e6), [1e6], "x");
      for (let i = 0; i < 3; i++) addTo(device, x, 1);
      device.flush();
      end(device);
      // An unhandled rejection would fail the run.
      await device.gpu.lost;
      await new Promise((resolve) => setTimeout(resolve, 20));
      device.dispose();
      expect(device.pool.liveBytes).toBe(0);
    }
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
