import type { BenchMeasurement } from "../../src/bench/run.js";

/** A measurement with some of its figures; the others are 0 or 1. */
export function measurement(own: Partial<BenchMeasurement>): BenchMeasurement {
  return {
    name: "x",
    shape: "",
    kind: "other",
    dtype: "f32",
    algorithm: "",
    runs: 1,
    dispatches: 1,
    medianMs: 1,
    minimumMs: 1,
    flops: 0,
    gflops: 0,
    gigabytesPerSecond: 0,
    gigaweightsPerSecond: 0,
    share: 0,
    relativeError: 0,
    ...own,
  };
}
