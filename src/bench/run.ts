import { KernelError, throwIfAborted } from "../base/errors.js";
import { MATMUL_ACTIVATIONS } from "../kernels/tunables.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import type { Device } from "../runtime/device.js";
import { tuned } from "../runtime/tuning.js";
import type { Peak } from "./peak.js";
import { type BenchType, BITS, type Kind, type Workload } from "./workload.js";

/** One measured workload. */
export interface BenchMeasurement {
  readonly name: string;
  readonly shape: string;
  readonly kind: Kind;
  readonly dtype: BenchType;
  /** The kernels used, most expensive first if the adapter has timestamps. */
  readonly algorithm: string;
  readonly runs: number;
  /** Per run. */
  readonly dispatches: number;
  readonly medianMs: number;
  readonly minimumMs: number;
  /** Per run. */
  readonly flops: number;
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  /** Weights read, in billions/s: the limiting rate of matrix-vector products. */
  readonly gigaweightsPerSecond: number;
  /** Fraction of the adapter's measured peak: of arithmetic or of memory, whichever is larger. */
  readonly share: number;
  readonly relativeError: number;
  /** Further figures, as text with units. */
  readonly details?: Readonly<Record<string, number>>;
}

/** Maximum relative error against the float64 reference on the stored weights. */
export const ALLOWED_ERROR = 1e-4;
/** The same where activations are in 8 bits. */
const ALLOWED_ERROR_IN_BYTES = 0.05;

/** Returns the maximum relative error that the kernels of a device may have, by its tuning. */
export function allowedError({ packedDots, tuning }: AdapterFacts): number {
  return packedDots && tuned(tuning, MATMUL_ACTIVATIONS) === "q8" ? ALLOWED_ERROR_IN_BYTES : ALLOWED_ERROR;
}
const LEAST_RUNS = 3;
const MOST_RUNS = 200;
/** Short runs are batched to about this duration, so that readback latency does not dominate. */
const BATCH_MS = 20;
const MOST_A_BATCH = 100;

/** How a workload is timed. */
export interface MeasureOptions {
  readonly peak: Peak;
  /** Approximate duration of the runs. */
  readonly seconds?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called when a workload enters a stage. */
  readonly onStage?: (stage: "preparing" | "verifying" | "timing") => void;
}

/** Default duration of the runs in seconds. */
export const DEFAULT_SECONDS = 2;

/**
 * Verifies a workload, then times it: everything resident, warmed up. Throws KernelError if the result is wrong, AbortedError.
 */
export async function measure(
  device: Device,
  workload: Workload,
  dtype: BenchType,
  options: MeasureOptions,
): Promise<BenchMeasurement> {
  const { signal, onStage } = options;
  onStage?.("preparing");
  const prepared = await workload.prepare(device, dtype);
  try {
    onStage?.("verifying");
    const relativeError = checked(
      `bench ${workload.name} in ${dtype}`,
      await prepared.verify(),
      allowedError(device.facts),
    );
    onStage?.("timing");
    const once = async (runs = 1): Promise<number> => {
      throwIfAborted(signal, `bench ${workload.name}`);
      const started = performance.now();
      for (let i = 1; i < runs; i++) device.scope(() => void prepared.run());
      const y = device.scope(prepared.run);
      if (workload.readsBack) await device.read(y);
      else await device.sync();
      const milliseconds = performance.now() - started;
      y.dispose();
      return milliseconds / runs;
    };
    await once();
    const before = device.counters.dispatches;
    device.profile.start();
    await once();
    const algorithm = kernelsOf(await device.profile.stop());
    const dispatches = device.counters.dispatches - before;
    const together = workload.readsBack ? 1 : Math.ceil(BATCH_MS / Math.max(await once(), 1e-3));
    const times = await repeated(options.seconds ?? DEFAULT_SECONDS, () => once(Math.min(together, MOST_A_BATCH)));
    const bytes = (workload.weights * BITS[dtype]) / 8 + workload.otherBytes;
    const { name, shape, kind, flops, weights } = workload;
    return {
      ...figures({ name, shape, kind, dtype, flops, weights, bytes }, times, options.peak),
      algorithm,
      dispatches,
      relativeError,
    };
  } finally {
    prepared.dispose();
    device.pool.trim();
  }
}

/** Returns the error if it is at most `allowed`. Throws KernelError otherwise. */
export function checked(where: string, relativeError: number, allowed: number): number {
  if (relativeError <= allowed) return relativeError;
  throw new KernelError({
    where,
    expected: `at most ${allowed} relative error`,
    got: relativeError.toExponential(2),
    remedy: "report this with the output of `ocellus doctor`; wrong results are not timed",
  });
}

/** Times runs for about the given seconds; returns milliseconds. */
async function repeated(seconds: number, once: () => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  const started = performance.now();
  while (times.length < LEAST_RUNS || (performance.now() - started < seconds * 1000 && times.length < MOST_RUNS)) {
    times.push(await once());
  }
  return times;
}

/** Work of a workload, for rates. */
export interface Work {
  readonly name: string;
  readonly shape: string;
  readonly kind: Kind;
  readonly dtype: BenchType;
  readonly flops: number;
  readonly weights: number;
  /** Bytes read and written, weights included. */
  readonly bytes: number;
}

/** Computes the rates of a workload from the milliseconds of its runs. */
export function figures(
  work: Work,
  milliseconds: readonly number[],
  peak: Peak,
): Omit<BenchMeasurement, "algorithm" | "dispatches" | "relativeError"> {
  const { name, shape, kind, dtype, flops, weights, bytes } = work;
  const sorted = [...milliseconds].sort((a, b) => a - b);
  const medianMs = sorted[Math.floor(sorted.length / 2)]!;
  const gflops = flops / medianMs / 1e6;
  const gigabytesPerSecond = bytes / medianMs / 1e6;
  return {
    name,
    shape,
    kind,
    dtype,
    runs: sorted.length,
    medianMs,
    minimumMs: sorted[0]!,
    flops,
    gflops,
    gigabytesPerSecond,
    gigaweightsPerSecond: weights / medianMs / 1e6,
    share: Math.max(gflops / peak.gflops, gigabytesPerSecond / peak.gigabytesPerSecond),
  };
}

/** Names of the slowest kernels that make up nine tenths of the time; all if untimed. */
function kernelsOf(passes: readonly { name: string; milliseconds: number }[]): string {
  const byName = new Map<string, number>();
  for (const { name, milliseconds } of passes) byName.set(name, (byName.get(name) ?? 0) + milliseconds);
  const sorted = [...byName].sort((a, b) => b[1] - a[1]);
  const total = sorted.reduce((sum, [, ms]) => sum + ms, 0);
  const names: string[] = [];
  for (let covered = 0; names.length < sorted.length && covered <= 0.9 * total; ) {
    const [name, ms] = sorted[names.length]!;
    names.push(name);
    covered += ms;
  }
  return names.join("+");
}
