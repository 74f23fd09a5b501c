import { afterEach, expect, test, vi } from "vitest";
import { AbortedError, DeviceLostError, DisposedError, LimitError } from "../../../src/base/errors.js";
import type { KVPool } from "../../../src/layers/kv-pool.js";
import { Recovery } from "../../../src/models/chat/recovery.js";
import type { Device } from "../../../src/runtime/device.js";
import { faultOf } from "../../../src/runtime/gpu-fault.js";

const fault = { where: "GPU device", expected: "to stay open", got: "reset", remedy: "load again" };

class GPUOutOfMemoryError {
  readonly message = "no room";
}
const outOfMemory = () => faultOf(new GPUOutOfMemoryError() as GPUError, "an adapter");

/** Says that rows do not fit beside those of others. */
const FULL = new LimitError(fault);

/** A model of which nothing is real but the calls. */
function model() {
  const calls: string[] = [];
  return {
    calls,
    device: {} as Device,
    kvPool: {
      room: (cause: unknown) => {
        if (cause !== FULL) return undefined;
        calls.push("wait");
        return Promise.resolve();
      },
      forgo: (): void => {
        calls.push("forgo");
      },
    } as unknown as KVPool,
    async reloadLost(onProgress: (progress: { loadedBytes: number; totalBytes: number; tensor: string }) => void) {
      calls.push("reload");
      await new Promise((resolve) => setTimeout(resolve, 0));
      onProgress({ loadedBytes: 1, totalBytes: 2, tensor: "t" });
      this.device = {} as Device;
    },
    async shed() {
      calls.push("shed");
    },
    check() {},
  };
}

/** Work that fails with each of `errors`, then succeeds. */
function failing(...errors: unknown[]) {
  return async () => {
    await Promise.resolve();
    if (errors.length > 0) throw errors.shift();
    return "done";
  };
}

afterEach(() => {
  vi.restoreAllMocks();
});

test("calls that lose the device together wait for one reload, and report it", async () => {
  const recovery = new Recovery(true);
  const own = model();
  const lost = new DeviceLostError(fault);
  const stages: unknown[] = [];
  const options = { onProgress: (progress: unknown) => stages.push(progress) };
  const runs = [1, 2, 3].map(() => recovery.run(own, failing(lost), options));
  expect(await Promise.all(runs)).toEqual(["done", "done", "done"]);
  expect(own.calls).toEqual(["reload"]);
  expect(stages).toEqual(Array.from({ length: 3 }, () => ({ stage: "reload", done: 1, total: 2 })));
});

test("the third loss in a minute is an error, until the minute is over", async () => {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const recovery = new Recovery(true);
  const own = model();
  const loss = () => new DeviceLostError(fault);
  expect(await recovery.run(own, failing(loss(), loss()), {})).toBe("done");
  now = 59_000;
  const third = loss();
  const refused = recovery.run(own, failing(third), {});
  await expect(refused).rejects.toThrow(DeviceLostError);
  await expect(refused).rejects.toMatchObject({ fault: { got: "3; the last: reset" }, cause: third });
  expect(own.calls).toEqual(["reload", "reload"]);
  // The same loss is not counted again.
  now = 61_000;
  expect(await recovery.run(own, failing(third), {})).toBe("done");
  // A loss while the weights are read counts too.
  await expect(recovery.load(failing(loss(), loss()))).rejects.toThrow(/got 3/);
});

test("without reloads a loss is the caller's error", async () => {
  const own = model();
  const lost = new DeviceLostError(fault);
  await expect(new Recovery(false).run(own, failing(lost), {})).rejects.toBe(lost);
  await expect(new Recovery(false).load(failing(lost))).rejects.toBe(lost);
  expect(own.calls).toEqual([]);
});

test("memory that ran out frees the caches once, with and without reloads", async () => {
  const own = model();
  const recovery = new Recovery(false);
  expect(await recovery.run(own, failing(outOfMemory()), {})).toBe("done");
  await expect(recovery.run(own, failing(outOfMemory(), outOfMemory()), {})).rejects.toThrow(LimitError);
  expect(own.calls).toEqual(["shed", "shed", "shed"]);
  // A binding over the limit would be refused again.
  const limit = new LimitError({ ...fault, where: "tensor x" }, 5);
  await expect(recovery.run(own, failing(limit), {})).rejects.toBe(limit);
  expect(own.calls).toHaveLength(3);
});

test("a caller that aborts, or whose callback throws, does not end the reload of the others", async () => {
  const own = model();
  const recovery = new Recovery(true);
  const lost = new DeviceLostError(fault);
  const controller = new AbortController();
  const aborting = recovery.run(own, failing(lost), {
    signal: controller.signal,
    onProgress: () => controller.abort(),
  });
  const throwing = recovery.run(own, failing(lost), {
    onProgress: () => {
      throw new RangeError("from the caller");
    },
  });
  const waiting = recovery.run(own, failing(lost), {});
  await expect(aborting).rejects.toThrow(AbortedError);
  await expect(throwing).rejects.toThrow("from the caller");
  expect(await waiting).toBe("done");
  expect(own.calls).toEqual(["reload"]);
});

test("a reload that fails rejects, and the next call tries again; one of a disposed model says so", async () => {
  const own = model();
  const { reloadLost } = own;
  const recovery = new Recovery(true);
  const lost = new DeviceLostError(fault);
  own.reloadLost = () => Promise.reject(new Error("no adapter"));
  await expect(recovery.run(own, failing(lost), {})).rejects.toThrow("no adapter");
  own.reloadLost = reloadLost;
  expect(await recovery.run(own, failing(lost), {})).toBe("done");
  own.reloadLost = async () => {
    own.check = () => {
      throw new DisposedError(fault);
    };
    throw new AbortedError("loading");
  };
  await expect(recovery.run(own, failing(new DeviceLostError(fault)), {})).rejects.toThrow(DisposedError);
});

test("work whose keys and values do not fit beside those of others is repeated when these have less, as often as needed", async () => {
  const own = model();
  expect(await new Recovery(false).run(own, failing(FULL, FULL), {})).toBe("done");
  // Its place in the line is free again, whatever became of it.
  expect(own.calls).toEqual(["wait", "wait", "forgo"]);
  const other = new LimitError(fault);
  await expect(new Recovery(false).run(own, failing(other), {})).rejects.toBe(other);
});

test("a call that is aborted while it waits for room gives up its place in the line", async () => {
  const own = model();
  const { room } = own.kvPool;
  own.kvPool.room = (cause: unknown) => room(cause) && new Promise(() => {});
  const abort = new AbortController();
  const waiting = new Recovery(false).run(own, failing(FULL), { signal: abort.signal });
  setTimeout(() => abort.abort(), 0);
  await expect(waiting).rejects.toThrow(AbortedError);
  expect(own.calls).toEqual(["wait", "forgo"]);
});
