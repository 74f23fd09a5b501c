import type { HoldType } from "../io/weights.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/** How the weights of a workload are held; where it has none it runs once, in f32. */
export type BenchType = Exclude<HoldType, "auto">;

/** A workload made ready on a device. */
export interface Prepared {
  /** Records one run; the result belongs to the caller's scope. */
  run(): Tensor;
  /** Largest relative error against the float64 reference. */
  verify(): Promise<number>;
  /** Put back before every run (a cache's length). */
  reset?(): void;
  dispose(): void;
}

/** Something that is verified, then timed. */
export interface Workload {
  readonly name: string;
  readonly what: string;
  readonly shape: string;
  /** 2 for every multiply-add. */
  readonly flops: number;
  /** Weight elements read. */
  readonly weights: number;
  /** Bytes of activations and caches read and written. */
  readonly otherBytes: number;
  /** Largest error that is right, by dtype of the weights. */
  prepare(device: Device, type: BenchType): Promise<Prepared>;
}

/** Bits a weight takes in each type, scales included. */
export const BITS: Record<BenchType, number> = { f32: 32, f16: 16, bf16: 16, q8: 8.5, q4: 5 };
