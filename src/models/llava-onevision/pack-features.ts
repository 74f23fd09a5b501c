import { copyRows } from "../../kernels/copy-rows.js";
import { type RowPiece, resample } from "../../kernels/resample.js";
import type { Device } from "../../runtime/device.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { CopyRun, PackingPlan } from "./packing.js";

/**
 * Executes a packing plan: projected features, in pieces of whole tiles, to visual tokens `[M, D]`.
 * features `[N·P, D]` in total, newline `[1, D]`.
 */
export function packFeatures(features: readonly RowPiece[], newline: Tensor, plan: PackingPlan): Tensor {
  const { device } = newline;
  const packed = device.empty([plan.tokens, newline.size(-1)], "f32", "packed");
  for (const piece of features) copyFrom(device, piece, plan, "features", packed);
  copyFrom(device, { first: 0, tensor: newline }, plan, "newline", packed);
  if (plan.resample) {
    const { rows, sources, weights } = plan.resample;
    const blended = resample(
      features,
      device.upload(sources, [rows, 4], "resample sources"),
      device.upload(weights, [rows, 2], "resample weights"),
      "resampled",
    );
    copyFrom(device, { first: 0, tensor: blended }, plan, "resampled", packed);
  }
  return packed;
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
