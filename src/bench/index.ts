/** Kernel benchmarks: workloads that are verified against float64 loops, then timed. Import as `ocellus/bench`. */

export { type Agreement, agreement, type Judgement, judge } from "./agreement.js";
export { type HtmlReport, htmlReport } from "./html-report.js";
export { KERNEL_WORKLOADS } from "./kernels.js";
export { MODEL_WORKLOADS, ModelBench, type ModelWorkload } from "./models.js";
export { measurePeak, type Peak, peakText } from "./peak.js";
export { PEER_WORKLOADS } from "./peers.js";
export { aboutRun, type RunAbout, summaryLine } from "./report.js";
export { type BenchMeasurement, type MeasureOptions, measure } from "./run.js";
export { bestProduct, type Comparison, summarise, summaryText } from "./summary.js";
export { type ChoiceResult, type Trial, type TuneOptions, tune } from "./tune.js";
export { SIZE_NAMES, type Size, type TunedChoice } from "./tuned-choices.js";
export { type BenchType, BITS, type Kind, type Prepared, type Workload } from "./workload.js";
