import type { AdapterFacts } from "../runtime/adapter.js";
import type { Peak } from "./peak.js";
import type { BenchMeasurement } from "./run.js";
import { bestProduct, summarise } from "./summary.js";

/** What every line of a run says beside its measurement, to be compared with another day's. */
export interface RunAbout {
  readonly peak: Peak;
  readonly adapter: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly driver: string;
  readonly tuning?: AdapterFacts["tuning"];
  readonly versions: Readonly<Record<string, string | undefined>>;
  readonly date: string;
}

/** The adapter, its measured peak, the versions given, and now. */
export function aboutRun(facts: AdapterFacts, peak: Peak, versions: RunAbout["versions"]): RunAbout {
  const { name, vendor, architecture, description, tuning } = facts;
  return {
    peak,
    adapter: name,
    vendor,
    architecture,
    driver: description,
    ...(Object.keys(tuning).length > 0 && { tuning }),
    versions,
    date: new Date().toISOString(),
  };
}

/** The line after the measurements: what the larger workloads reach of the best products. */
export function summaryLine(run: readonly BenchMeasurement[]): object {
  const best = bestProduct(run);
  return {
    name: "summary",
    comparisons: summarise(run),
    ...(best && { bestProduct: { name: best.name, dtype: best.dtype, gflops: best.gflops } }),
  };
}
