import { describe, expect, test } from "vitest";
import { AbortedError, KernelError } from "../../src/base/errors.js";
import type { Geometry } from "../../src/bench/geometries.js";
import { KERNEL_WORKLOADS, MODEL_WORKLOADS, measure, measurePeak, PEER_WORKLOADS } from "../../src/bench/index.js";
import { attending, coldCopies, product } from "../../src/bench/kernels.js";
import { ModelBench } from "../../src/bench/models.js";
import { ROW_KERNELS, rootNorm } from "../../src/bench/row-kernels.js";
import { allowedError } from "../../src/bench/run.js";
import { bestProduct, summarise, summaryText } from "../../src/bench/summary.js";
import type { Workload } from "../../src/bench/workload.js";
import { forge } from "../support/adapters.js";
import { useDevice } from "../support/device.js";
import { measurement } from "../support/measurement.js";

const held = useDevice();
const peak = { gflops: 100, loop: "given", gigabytesPerSecond: 10 };
const short = { peak, seconds: 0.01 };

test("names are different, and say no more than letters, digits, - and _", () => {
  const names = [...KERNEL_WORKLOADS, ...PEER_WORKLOADS, ...MODEL_WORKLOADS].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[\w-]+$/);
});

test("activations in 8 bits may be less exact, where they are used", () => {
  const { facts } = held.device;
  const tuning = { "matmul.activations": "q8" };
  const exact = allowedError(facts);
  expect(allowedError({ ...facts, packedDots: true, tuning })).toBeGreaterThan(10 * exact);
  expect(allowedError({ ...facts, packedDots: false, tuning })).toBe(exact);
});

describe("kernels by themselves", () => {
  const small = [
    product("one_row", "", 1, 100, 70),
    product("rows", "", 19, 36, 70),
    attending("both_ways", "", { queries: 21, keys: 21, heads: 2, keyValueHeads: 2, headSize: 72 }, false),
    attending("causal", "", { queries: 37, keys: 50, heads: 4, keyValueHeads: 2, headSize: 64 }, true),
    attending("step", "", { queries: 1, keys: 300, heads: 4, keyValueHeads: 2, headSize: 64 }, true),
  ];

  test.each([...ROW_KERNELS, ...small].map((workload) => [workload.name, workload] as const))(
    "%s is right, and gives its memory back",
    async (_name, workload) => {
      const { device } = held;
      const prepared = await workload.prepare(device, "q4");
      try {
        expect(await prepared.verify()).toBeLessThan(1e-5);
      } finally {
        prepared.dispose();
      }
      expect(device.pool.liveBytes).toBe(0);
    },
  );

  test("on GPUs the runs of one row go through copies of the matrix that exceed a cache together", async () => {
    const megabyte = 2 ** 20;
    expect(coldCopies({ onCPU: true, maxBufferBytes: 2048 * megabyte }, megabyte)).toBe(1);
    expect(coldCopies({ onCPU: false, maxBufferBytes: 2048 * megabyte }, 100 * megabyte)).toBe(3);
    expect(coldCopies({ onCPU: false, maxBufferBytes: 2048 * megabyte }, 300 * megabyte)).toBe(1);
    expect(coldCopies({ onCPU: false, maxBufferBytes: 128 * megabyte }, 32 * megabyte)).toBe(4);
    const { device } = held;
    const own = device.facts;
    forge(device, { onCPU: false, broadcastLanes: 0, maxBufferBytes: 5 * 512 * 1024 * 4 });
    const read = new Set<unknown>();
    device.run = (kernel, tensors, ...others) => {
      read.add(tensors.weights);
      Object.getPrototypeOf(device).run.call(device, kernel, tensors, ...others);
    };
    try {
      const prepared = await product("cold", "", 1, 512, 1024).prepare(device, "f32");
      read.clear();
      for (let i = 0; i < 7; i++) expect(await prepared.verify()).toBeLessThan(1e-5);
      expect(read.size).toBe(5);
      prepared.dispose();
    } finally {
      forge(device, own);
      Reflect.deleteProperty(device, "run");
    }
    expect(device.pool.liveBytes).toBe(0);
  });

  test("causal attention counts the keys that are seen", () => {
    const sizes = { heads: 1, keyValueHeads: 1, headSize: 4 };
    // Three queries see 3, 4 and 5 keys; a score and a value are 8 multiply-adds together.
    expect(attending("x", "", { queries: 3, keys: 5, ...sizes }, true).flops).toBe(12 * 16);
    expect(attending("x", "", { queries: 3, keys: 5, ...sizes }, false).flops).toBe(15 * 16);
  });
});

describe("measuring", () => {
  /** A workload whose verification says `error`. */
  function saying(error: number): Workload {
    const norm = rootNorm("rms_norm", 2, 64);
    return {
      ...norm,
      prepare: async (device, type) => ({ ...(await norm.prepare(device, type)), verify: async () => error }),
    };
  }

  test("rates come from the median and from what a workload states", async () => {
    const workload = { ...product("rates", "", 1, 96, 64), flops: 2e6, weights: 3e6, otherBytes: 1e6 };
    const begun = performance.now();
    const measured = await measure(held.device, workload, "q4", short);
    const elapsed = performance.now() - begun;
    const { medianMs, minimumMs, gflops, gigabytesPerSecond, gigaweightsPerSecond, share } = measured;
    expect(minimumMs).toBeGreaterThan(0);
    expect(medianMs).toBeGreaterThanOrEqual(minimumMs);
    expect(medianMs).toBeLessThan(elapsed);
    expect(gflops * medianMs).toBeCloseTo(2, 6);
    expect(gigaweightsPerSecond * medianMs).toBeCloseTo(3, 6);
    // 5 bits a weight and what else is moved.
    expect(gigabytesPerSecond * medianMs).toBeCloseTo((3 * 5) / 8 + 1, 6);
    expect(share).toBeCloseTo(Math.max(gflops / 100, gigabytesPerSecond / 10), 9);
    expect(measured).toMatchObject({ name: "rates", dtype: "q4", kind: "row product", dispatches: 1 });
    expect(measured.relativeError).toBeLessThan(1e-5);
  });

  test.each([1e-3, Number.NaN, Number.POSITIVE_INFINITY])("a result that is wrong by %d has no time", async (error) => {
    const { device } = held;
    const failed = measure(device, saying(error), "f32", short);
    await expect(failed).rejects.toThrow(KernelError);
    await expect(failed).rejects.toThrow(/rms_norm in f32.*wrong results are not timed/);
    expect(device.pool.liveBytes).toBe(0);
  });

  test("an abort ends it and gives its memory back", async () => {
    const { device } = held;
    const abort = new AbortController();
    const stages: string[] = [];
    const onStage = (stage: string): void => {
      stages.push(stage);
      if (stage === "timing") abort.abort();
    };
    await expect(
      measure(device, rootNorm("rms_norm", 2, 64), "f32", { ...short, signal: abort.signal, onStage }),
    ).rejects.toThrow(AbortedError);
    expect(stages).toEqual(["preparing", "verifying", "timing"]);
    expect(device.pool.liveBytes).toBe(0);
  });

  test("the peak has both kinds, states its work, and frees its memory", async () => {
    const { device } = held;
    const flops: number[] = [];
    device.run = (kernel, tensors, parameters, workgroups, work) => {
      if (kernel.name === "peakMultiplyAdd") flops.push(work?.flops ?? 0);
      Object.getPrototypeOf(device).run.call(device, kernel, tensors, parameters, workgroups, work);
    };
    const found = await measurePeak(device).finally(() => Reflect.deleteProperty(device, "run"));
    // Watchdogs are kept away by estimates: a loop that computes for long must not count as the bytes that it writes.
    expect(Math.min(...flops)).toBeGreaterThan(1e8);
    expect(found.gflops).toBeGreaterThan(0);
    expect(found.gigabytesPerSecond).toBeGreaterThan(0);
    expect(found.loop).toMatch(/lanes/);
    expect(device.pool.liveBytes).toBe(0);
  });
});

describe("the summary", () => {
  test("prefills stand beside the fastest product of their dtype, decoding beside that of one row", () => {
    const run = [
      measurement({ name: "slow", kind: "product", gflops: 40 }),
      measurement({ name: "fast", kind: "product", gflops: 50 }),
      measurement({ name: "q8", kind: "product", dtype: "q8", gflops: 80 }),
      measurement({ name: "prefill", kind: "rows", gflops: 25 }),
      measurement({ name: "row", kind: "row product", gigaweightsPerSecond: 4 }),
      measurement({ name: "decode", kind: "decode", gigaweightsPerSecond: 3 }),
    ];
    expect(bestProduct(run)?.name).toBe("q8");
    expect(summarise(run)).toMatchObject([
      { name: "prefill", beside: "fast", share: 0.5, unit: "GFLOP/s" },
      { name: "decode", beside: "row", share: 0.75, unit: "G weights/s" },
    ]);
    expect(summaryText(run, { ...peak, gflops: 160 })).toEqual([
      "best matrix product: 80.0 GFLOP/s (q8 q8), 50 % of the peak",
      "prefill f32: 25.0 GFLOP/s, 50 % of fast",
      "decode f32: 3.0 G weights/s, 75 % of row",
    ]);
  });

  test("what was not measured is not compared", () => {
    expect(bestProduct([])).toBeUndefined();
    expect(summarise([measurement({ kind: "rows", gflops: 1 }), measurement({ kind: "decode" })])).toEqual([]);
    const other = measurement({ name: "row", kind: "row product", dtype: "q4", gigaweightsPerSecond: 4 });
    expect(summarise([other, measurement({ kind: "decode" })])).toEqual([]);
  });
});

describe("models", () => {
  const geometry: Geometry = {
    vision: {
      width: 48,
      heads: 2,
      headSize: 24,
      layers: 3,
      mlpWidth: 80,
      patchSide: 14,
      tileSide: 56,
      cells: 4,
      layerNormEps: 1e-6,
    },
    text: {
      width: 64,
      layers: 3,
      heads: 4,
      keyValueHeads: 2,
      headSize: 16,
      mlpWidth: 96,
      vocabulary: 300,
      maxPositions: 2048,
      ropeTheta: 1e6,
      rmsNormEps: 1e-6,
      tied: true,
    },
  };

  test("the whole job and its parts, on a small model of random weights", async () => {
    const { device } = held;
    const bench = await ModelBench.open(device, "q4", { ...short, geometry });
    const run = (name: string) => MODEL_WORKLOADS.find((workload) => workload.name === name)!.run(bench);
    try {
      expect(bench.relativeError).toBeLessThan(1e-4);
      expect((await run("model-load")).details?.["GPU MB"]).toBeGreaterThan(0.1);
      expect(await run("model-vision")).toMatchObject({ shape: "2 tiles", kind: "rows", dtype: "f16" });
      expect(await run("model-prefill-729")).toMatchObject({ shape: "729 rows", kind: "rows", dtype: "q4" });
      const decode = await run("model-decode-1k");
      // A read for several tokens, and never a submission for each dispatch.
      expect(decode.details?.["readbacks/token"]).toBeLessThanOrEqual(1);
      expect(decode.details?.["submissions/token"]).toBeLessThanOrEqual(1.5);
      expect(decode.details?.tokens).toBeGreaterThan(32);
      const whole = await run("model-05b");
      // 16 cells of the picture, 4 rows of 4 and a newline.
      expect(whole.shape).toBe("36 + 20 rows");
      expect(whole.details?.["tokens/s"]).toBeGreaterThan(0);
    } finally {
      bench.dispose();
    }
    expect(device.pool.liveBytes).toBe(0);
  });
});
