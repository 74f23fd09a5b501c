import type { BenchMeasurement } from "./run.js";

/** Columns of a table of measurements. */
export const COLUMNS = [
  "name",
  "shape",
  "dtype",
  "median ms",
  "min ms",
  "GFLOP/s",
  "GB/s",
  "Gw/s",
  "share",
  "disp.",
  "error",
  "kernels",
] as const;

/** Formats a measurement, a cell per column. */
export function cellsOf(m: BenchMeasurement): Record<(typeof COLUMNS)[number], string> {
  return {
    name: m.name,
    shape: m.shape,
    dtype: m.dtype,
    "median ms": m.medianMs.toFixed(m.medianMs < 1 ? 4 : 2),
    "min ms": m.minimumMs.toFixed(m.minimumMs < 1 ? 4 : 2),
    "GFLOP/s": m.flops === 0 ? "–" : m.gflops.toFixed(1),
    "GB/s": m.gigabytesPerSecond.toFixed(2),
    "Gw/s": m.kind === "row product" || m.kind === "decode" ? m.gigaweightsPerSecond.toFixed(2) : "–",
    share: `${(100 * m.share).toFixed(0)} %`,
    "disp.": String(m.dispatches),
    error: m.relativeError.toExponential(1),
    kernels: m.algorithm,
  };
}

/** Formats a further figure of a workload. */
export function detailText(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}
