import type { Device } from "../runtime/device.js";
import { KernelError, throwIfAborted } from "../runtime/errors.js";
import type { Peak } from "./peak.js";
import { type BenchType, BITS, type Workload } from "./workload.js";

/** One measured workload. */
export interface Measurement {
  readonly name: string;
  readonly shape: string;
  readonly dtype: BenchType;
  /** The kernels that did the work, most expensive first where the adapter has timestamps. */
  readonly algorithm: string;
  readonly runs: number;
  /** Of one run. */
  readonly dispatches: number;
  readonly medianMs: number;
  readonly minimumMs: number;
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  /** Share of the adapter's measured peak: of arithmetic or of memory, whichever is larger. */
  readonly share: number;
  readonly relativeError: number;
}

/** Largest relative error against the float64 reference on the weights as held. */
const ALLOWED_ERROR = 1e-4;
const LEAST_RUNS = 3;

export interface MeasureOptions {
  readonly peak: Peak;
  /** Runs go on for about this long. */
  readonly seconds?: number;
  readonly signal?: AbortSignal;
}

/**
 * Verifies a workload, then times it: everything resident, one submission a run, the result read back, one run to warm up.
 * Throws KernelError if the result is wrong.
 */
export async function measure(
  device: Device,
  workload: Workload,
  dtype: BenchType,
  options: MeasureOptions,
): Promise<Measurement> {
  const prepared = await workload.prepare(device, dtype);
  try {
    const relativeError = await prepared.verify();
    if (!(relativeError <= ALLOWED_ERROR)) {
      throw new KernelError({
        where: `bench ${workload.name} in ${dtype}`,
        expected: `at most ${ALLOWED_ERROR} relative error`,
        got: relativeError.toExponential(2),
        remedy: "report this with the output of `ocellus doctor`; no time is given for a wrong result",
      });
    }
    const once = async (): Promise<number> => {
      throwIfAborted(options.signal, `bench ${workload.name}`);
      const started = performance.now();
      const y = device.scope(prepared.run);
      await device.read(y);
      const milliseconds = performance.now() - started;
      y.dispose();
      return milliseconds;
    };
    device.profile.start();
    await once();
    const algorithm = kernelsOf(await device.profile.stop());
    const before = device.counters.dispatches;
    await once();
    const dispatches = device.counters.dispatches - before;
    const times: number[] = [];
    const budget = (options.seconds ?? 2) * 1000;
    for (let spent = 0; times.length < LEAST_RUNS || (spent < budget && times.length < 200); ) {
      const milliseconds = await once();
      times.push(milliseconds);
      spent += milliseconds;
    }
    times.sort((a, b) => a - b);
    const medianMs = times[Math.floor(times.length / 2)]!;
    const bytes = (workload.weights * BITS[dtype]) / 8 + workload.otherBytes;
    const gflops = workload.flops / medianMs / 1e6;
    const gigabytesPerSecond = bytes / medianMs / 1e6;
    return {
      name: workload.name,
      shape: workload.shape,
      dtype,
      algorithm,
      runs: times.length,
      dispatches,
      medianMs,
      minimumMs: times[0]!,
      gflops,
      gigabytesPerSecond,
      share: Math.max(gflops / options.peak.gflops, gigabytesPerSecond / options.peak.gigabytesPerSecond),
      relativeError,
    };
  } finally {
    prepared.dispose();
    device.pool.trim();
  }
}

/** Names of the kernels, those that took longest first, until nine tenths of the time are named. */
function kernelsOf(passes: readonly { name: string; milliseconds: number }[]): string {
  const byName = new Map<string, number>();
  for (const { name, milliseconds } of passes) byName.set(name, (byName.get(name) ?? 0) + milliseconds);
  const sorted = [...byName].sort((a, b) => b[1] - a[1]);
  const total = sorted.reduce((sum, [, ms]) => sum + ms, 0);
  const names: string[] = [];
  for (let covered = 0; names.length < sorted.length && covered < 0.9 * total; ) {
    const [name, ms] = sorted[names.length]!;
    names.push(name);
    covered += ms;
  }
  return names.join("+");
}
