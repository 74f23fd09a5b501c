/** Kernel benchmarks: workloads that are verified against float64 loops, then timed. Import as `ocellus/bench`. */

export { measurePeak, type Peak } from "./peak.js";
export { PEER_WORKLOADS } from "./peers.js";
export { type Measurement, type MeasureOptions, measure } from "./run.js";
export { type BenchType, BITS, type Prepared, type Workload } from "./workload.js";
