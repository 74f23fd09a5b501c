import { computed, signal } from "@preact/signals";
import type { BenchMeasurement, BenchType, Peak } from "ocellus/bench";
import type { AdapterFacts } from "ocellus/tensor";
import { type ShownFault, shown } from "../fault.js";
import type { FromBench, Job, Listed, ToBench } from "./messages.js";

/** Names of the sets of workloads. */
export const SETS = ["quick", "kernels", "comparison"] as const;
export type SetName = (typeof SETS)[number];

/** Most operations of a workload of the quick set, which takes seconds on any adapter. */
const QUICK_FLOPS = 5e7;

export const facts = signal<AdapterFacts | undefined>(undefined);
export const workloads = signal<readonly Listed[]>([]);
export const chosen = signal<ReadonlySet<string>>(new Set());
export const dtypes = signal<readonly BenchType[]>(["f32"]);
export const seconds = signal(1);
export const peak = signal<Peak | undefined>(undefined);
export const stage = signal<{ text: string; done: number; total: number } | undefined>(undefined);
export const results = signal<readonly BenchMeasurement[]>([]);
export const faults = signal<readonly { fault: ShownFault; job: Job | undefined }[]>([]);
/** The lines of the last complete run, as `ocellus bench --json` writes them. */
export const lines = signal<readonly object[]>([]);
/** The page of the last complete run, as `ocellus bench --report` writes it. */
export const report = signal("");
/** How far the last run came, if it was stopped. */
export const stoppedAt = signal<{ done: number; total: number } | undefined>(undefined);
/** Why there is no adapter. */
export const refused = signal<ShownFault | undefined>(undefined);
export const running = computed(() => stage.value !== undefined);

const worker = new Worker(new URL("./bench-worker.ts", import.meta.url), { type: "module", name: "bench" });

export const jobs = computed<readonly Job[]>(() =>
  workloads.value
    .filter(({ name }) => chosen.value.has(name))
    .flatMap(({ name, weighs }) => (weighs ? dtypes.value : (["f32"] as const)).map((dtype): Job => ({ name, dtype }))),
);

export function choose(set: SetName): void {
  const inSet: Record<SetName, (workload: Listed) => boolean> = {
    quick: ({ flops, compared }) => flops <= QUICK_FLOPS && !compared,
    kernels: ({ compared }) => !compared,
    comparison: ({ compared }) => compared,
  };
  chosen.value = new Set(workloads.value.filter(inSet[set]).map(({ name }) => name));
}

export function run(): void {
  results.value = [];
  faults.value = [];
  lines.value = [];
  report.value = "";
  stoppedAt.value = undefined;
  stage.value = { text: "Starting", done: 0, total: jobs.value.length };
  send({ kind: "run", jobs: jobs.value, seconds: seconds.value });
}

export function stop(): void {
  send({ kind: "stop" });
}

function send(message: ToBench): void {
  worker.postMessage(message);
}

worker.addEventListener("error", (event) => {
  refused.value = shown(new Error(event.message || "the page's worker could not be started; reload the page"));
});
worker.addEventListener("message", ({ data }: MessageEvent<FromBench>) => {
  switch (data.kind) {
    case "opened":
      facts.value = data.facts;
      workloads.value = data.workloads;
      choose("quick");
      break;
    case "failed":
      if (facts.value) faults.value = [...faults.value, { fault: data.fault, job: data.job }];
      else refused.value = data.fault;
      break;
    case "peak":
      peak.value = data.peak;
      break;
    case "stage":
      stage.value = data;
      break;
    case "measured":
      results.value = [...results.value, data.measured];
      break;
    case "ended":
      if (data.stopped) stoppedAt.value = { done: results.value.length, total: stage.value?.total ?? 0 };
      stage.value = undefined;
      lines.value = data.lines;
      report.value = data.report;
  }
});
