import type { StorageDtype } from "../io/weights.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/** How the weights of a workload are held; where it has none it runs once, in f32. */
export type BenchType = Exclude<StorageDtype, "auto">;

/**
 * What a workload is compared with at the end: towers and prefills with the matrix products of the run, decoding with the
 * products of one row.
 */
export type Kind = "product" | "row product" | "rows" | "decode" | "other";

/** A workload made ready on a device. */
export interface Prepared {
  /** Records one run; the result belongs to the caller's scope. */
  run(): Tensor;
  /** Largest relative error against the float64 reference; infinite where what has to be equal is not. */
  verify(): Promise<number>;
  dispose(): void;
}

/** Something that is verified, then timed. */
export interface Workload {
  readonly name: string;
  readonly what: string;
  readonly shape: string;
  readonly kind: Kind;
  /** 2 for every multiply-add. */
  readonly flops: number;
  /** Weight elements read; 0 where the dtype changes nothing. */
  readonly weights: number;
  /** Bytes of activations and caches read and written. */
  readonly otherBytes: number;
  /** Each run is submitted and its result read back, as other engines are timed; else runs follow each other on the adapter. */
  readonly readsBack?: boolean;
  /** Makes the operands, with weights held as `type`. */
  prepare(device: Device, type: BenchType): Promise<Prepared>;
}

/** Bits a weight takes in each type, scales included. */
export const BITS: Record<BenchType, number> = { f32: 32, f16: 16, bf16: 16, q8: 8.5, q4: 5 };
