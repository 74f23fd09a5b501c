import type { AdapterFacts } from "../runtime/adapter.js";
import type { Peak } from "./peak.js";
import type { BenchMeasurement } from "./run.js";
import { bestProduct, summarise } from "./summary.js";

/** Environment of a run, included in every line. */
export interface RunAbout {
  readonly peak: Peak;
  readonly adapter: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly driver: string;
  /** Subgroup sizes, `false` without; f16; the subgroup matrix in use. */
  readonly features: {
    readonly subgroups: readonly [min: number, max: number] | false;
    readonly f16: boolean;
    readonly matrices: string | false;
  };
  readonly tuning?: AdapterFacts["tuning"];
  readonly versions: Readonly<Record<string, string | undefined>>;
  readonly date: string;
}

/** Returns the environment: adapter, measured peak, versions and time. */
export function aboutRun(facts: AdapterFacts, peak: Peak, versions: RunAbout["versions"]): RunAbout {
  const { name, vendor, architecture, description, tuning, f16, subgroupMatrix: matrix } = facts;
  return {
    peak,
    adapter: name,
    vendor,
    architecture,
    driver: description,
    features: {
      subgroups: facts.subgroupMaxSize > 0 && [facts.subgroupMinSize, facts.subgroupMaxSize],
      f16,
      matrices: matrix ? `${matrix.m}×${matrix.n}×${matrix.k} ${matrix.input}` : false,
    },
    ...(Object.keys(tuning).length > 0 && { tuning }),
    versions,
    date: new Date().toISOString(),
  };
}

/** Returns the summary line: larger workloads relative to the best matrix products. */
export function summaryLine(run: readonly BenchMeasurement[]): object {
  const best = bestProduct(run);
  return {
    name: "summary",
    comparisons: summarise(run),
    ...(best && { bestProduct: { name: best.name, dtype: best.dtype, gflops: best.gflops } }),
  };
}
