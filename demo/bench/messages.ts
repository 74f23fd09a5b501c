import type { BenchMeasurement, BenchType, Peak } from "ocellus/bench";
import type { AdapterFacts } from "ocellus/tensor";
import type { ShownFault } from "../fault.js";

/** A workload as listed on the page before it runs. */
export interface Listed {
  readonly name: string;
  readonly what: string;
  readonly shape: string;
  /** 2 for every multiply-add. */
  readonly flops: number;
  /** Whether it has weights; workloads without weights run once, in f32. */
  readonly weighs: boolean;
  /** Whether ONNX Runtime was measured on the same workload. */
  readonly compared: boolean;
}

/** A workload in one storage dtype. */
export interface Job {
  readonly name: string;
  readonly dtype: BenchType;
}

export type ToBench =
  | { readonly kind: "run"; readonly jobs: readonly Job[]; readonly seconds: number }
  | { readonly kind: "stop" };

export type FromBench =
  | { readonly kind: "opened"; readonly facts: AdapterFacts; readonly workloads: readonly Listed[] }
  | { readonly kind: "failed"; readonly fault: ShownFault; readonly job?: Job }
  | { readonly kind: "peak"; readonly peak: Peak }
  | { readonly kind: "stage"; readonly text: string; readonly done: number; readonly total: number }
  | { readonly kind: "measured"; readonly measured: BenchMeasurement }
  | {
      readonly kind: "ended";
      readonly lines: readonly object[];
      /** The page that `ocellus bench --report` writes; empty without a measurement. */
      readonly report: string;
      readonly stopped: boolean;
    };
