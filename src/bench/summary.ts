import type { BenchMeasurement } from "./run.js";

/** One line of the summary: a workload beside what its kernels are made of. */
export interface Comparison {
  readonly name: string;
  readonly dtype: string;
  /** GFLOP/s, or thousand million weights a second. */
  readonly rate: number;
  readonly unit: "GFLOP/s" | "G weights/s";
  /** The workload that it is compared with. */
  readonly beside: string;
  readonly share: number;
}

/** The fastest matrix product of the run, if there was one. */
export function bestProduct(run: readonly BenchMeasurement[]): BenchMeasurement | undefined {
  return fastest(
    run.filter(({ kind }) => kind === "product"),
    (one) => one.gflops,
  );
}

/**
 * Towers and prefills as a share of the fastest product of many rows in the same dtype (in the run's fastest, if there is none),
 * decoding as a share of the fastest product of one row, in weights a second. What was not measured is not compared.
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

function fastest(
  run: readonly BenchMeasurement[],
  rate: (one: BenchMeasurement) => number,
): BenchMeasurement | undefined {
  return run.reduce<BenchMeasurement | undefined>(
    (best, one) => (best && rate(best) >= rate(one) ? best : one),
    undefined,
  );
}
