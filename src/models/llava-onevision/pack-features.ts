import { copyRows } from "../../kernels/copy-rows.js";
import { type RowPiece, resamplePiece } from "../../kernels/resample.js";
import type { Device } from "../../runtime/device.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { CopyRun, PackingPlan } from "./packing.js";

/**
 * Executes a packing plan: projected features `[N·P, D]` in total, in pieces of whole tiles in their order, to visual tokens `[M, D]`. A piece is
 * not needed after it was added. What is allocated belongs to the arenas that are current then.
 */
export class FeaturePacking {
  readonly #packed: Tensor;
  readonly #blended: { readonly y: Tensor; readonly sources: Tensor; readonly weights: Tensor } | undefined;
  #pieces = 0;

  /** newline `[1, D]` */
  constructor(
    readonly newline: Tensor,
    readonly plan: PackingPlan,
  ) {
    const { device } = newline;
    const width = newline.size(-1);
    this.#packed = device.empty([plan.tokens, width], "f32", "packed");
    if (!plan.resample) return;
    const { rows, sources, weights } = plan.resample;
    this.#blended = {
      y: device.empty([rows, width], "f32", "resampled"),
      sources: device.upload(sources, [rows, 4], "resample sources"),
      weights: device.upload(weights, [rows, 2], "resample weights"),
    };
  }

  add(piece: RowPiece): void {
    const { device } = this.newline;
    device.scope(() => copyFrom(device, piece, this.plan, "features", this.#packed));
    if (this.#blended) {
      const { y, sources, weights } = this.#blended;
      resamplePiece(piece, sources, weights, y, this.#pieces > 0);
    }
    this.#pieces++;
  }

  /** Returns the visual tokens `[M, D]`. */
  finish(): Tensor {
    const { device } = this.newline;
    device.scope(() => {
      copyFrom(device, { first: 0, tensor: this.newline }, this.plan, "newline", this.#packed);
      if (this.#blended) copyFrom(device, { first: 0, tensor: this.#blended.y }, this.plan, "resampled", this.#packed);
    });
    for (const tensor of Object.values(this.#blended ?? {})) tensor.dispose();
    return this.#packed;
  }
}

/** The same for features that exist together. */
export function packFeatures(features: readonly RowPiece[], newline: Tensor, plan: PackingPlan): Tensor {
  const packing = new FeaturePacking(newline, plan);
  for (const piece of features) packing.add(piece);
  return packing.finish();
}

/** Copies the planned rows of one piece. */
function copyFrom(device: Device, piece: RowPiece, plan: PackingPlan, from: CopyRun["from"], packed: Tensor): void {
  const pairs: number[] = [];
  const count = piece.tensor.size(0);
  for (const run of plan.copies) {
    if (run.from !== from) continue;
    for (let i = 0; i < run.count; i++) {
      const row = run.sourceRow + i - piece.first;
      if (row >= 0 && row < count) pairs.push(row, run.targetRow + i);
    }
  }
  if (pairs.length === 0) return;
  const rows = device.upload(Uint32Array.from(pairs), [pairs.length / 2, 2], "packing rows");
  copyRows(piece.tensor, rows, packed);
}
