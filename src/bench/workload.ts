import type { StorageDtype } from "../layers/weights.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/** Storage dtype of a workload's weights; without weights it runs once, as f32. */
export type BenchType = Exclude<StorageDtype, "auto">;

/**
 * Baseline of a workload in the summary: matrix products for towers and prefills, matrix-vector products for decoding.
 */
export type Kind = "product" | "row product" | "rows" | "decode" | "other";

/** A workload with its operands on a device. */
export interface Prepared {
  /** Records one run; the result is allocated in the current scope. */
  run(): Tensor;
  /** Largest relative error against the float64 reference; infinite if an exact result differs. */
  verify(): Promise<number>;
  dispose(): void;
}

/** A workload that is verified, then timed. */
export interface Workload {
  readonly name: string;
  readonly what: string;
  readonly shape: string;
  readonly kind: Kind;
  /** 2 per multiply-add. */
  readonly flops: number;
  /** Weight elements read; 0 if independent of the dtype. */
  readonly weights: number;
  /** Bytes of activations and caches read and written. */
  readonly otherBytes: number;
  /** Whether each run is submitted and read back, as for other engines; else runs are batched. */
  readonly readsBack?: boolean;
  /** Creates the operands, with weights stored as `type`. */
  prepare(device: Device, type: BenchType): Promise<Prepared>;
}

/** Logits of Qwen2, the rows of its embedding table. */
export const VOCABULARY = 151936;

/** Bits per weight by type, scales included. */
export const BITS: Record<BenchType, number> = { f32: 32, f16: 16, bf16: 16, q8: 8.5, q4: 5 };
