import type { Peak } from "./peak.js";
import type { BenchMeasurement } from "./run.js";

/** One line of the summary: a workload relative to the best matrix product. */
export interface Comparison {
  readonly name: string;
  readonly dtype: string;
  /** GFLOP/s, or billions of weights/s. */
  readonly rate: number;
  readonly unit: "GFLOP/s" | "G weights/s";
  /** The baseline workload. */
  readonly beside: string;
  readonly share: number;
}

/** Returns the fastest matrix product of the run, if any. */
export function bestProduct(run: readonly BenchMeasurement[]): BenchMeasurement | undefined {
  return fastest(
    run.filter(({ kind }) => kind === "product"),
    (one) => one.gflops,
  );
}

/**
 * Vision towers and prefills relative to the fastest matrix product of many rows in the same dtype (else of any dtype), decoding relative
 * to the fastest matrix-vector product in weights/s. Missing measurements are skipped.
 */
export function summarise(run: readonly BenchMeasurement[]): Comparison[] {
  return run.flatMap((one): Comparison[] => {
    const { name, dtype, kind } = one;
    const alike = run.filter((other) => other.dtype === dtype);
    if (kind === "rows") {
      const beside = bestProduct(alike) ?? bestProduct(run);
      if (!beside) return [];
      const label = beside.dtype === dtype ? beside.name : `${beside.name} ${beside.dtype}`;
      return [{ name, dtype, rate: one.gflops, unit: "GFLOP/s", beside: label, share: one.gflops / beside.gflops }];
    }
    if (kind !== "decode") return [];
    const rate = (measured: BenchMeasurement): number => measured.gigaweightsPerSecond;
    const beside = fastest(
      alike.filter((other) => other.kind === "row product"),
      rate,
    );
    if (!beside) return [];
    return [
      { name, dtype, rate: rate(one), unit: "G weights/s", beside: beside.name, share: rate(one) / rate(beside) },
    ];
  });
}

/** Describes the best matrix product, and the larger workloads relative to it; a line each. */
export function summaryText(run: readonly BenchMeasurement[], peak: Peak): string[] {
  const best = bestProduct(run);
  const share = best && ((100 * best.gflops) / peak.gflops).toFixed(0);
  return [
    ...(best
      ? [`best matrix product: ${best.gflops.toFixed(1)} GFLOP/s (${best.name} ${best.dtype}), ${share} % of the peak`]
      : []),
    ...summarise(run).map(
      ({ name, dtype, rate, unit, beside, share }) =>
        `${name} ${dtype}: ${rate.toFixed(1)} ${unit}, ${(100 * share).toFixed(0)} % of ${beside}`,
    ),
  ];
}

function fastest(
  run: readonly BenchMeasurement[],
  rate: (one: BenchMeasurement) => number,
): BenchMeasurement | undefined {
  return run.reduce<BenchMeasurement | undefined>(
    (best, one) => (best && rate(best) >= rate(one) ? best : one),
    undefined,
  );
}
