import { NO_ROW, scatterRows } from "../kernels/scatter-rows.js";
import { setZero } from "../kernels/zeros.js";
import type { Gradient } from "../layers/gradients.js";
import type { CopyRun, PackingPlan } from "../models/llava-onevision/packing.js";
import type { Tensor } from "../runtime/tensor.js";

/**
 * Gradient of `packFeatures`: dPacked `[M, D]` of the visual tokens of a segment → the gradient of its projected features `[n·P, D]`; adds
 * the gradient of the newline vector `[1, D]` to `dNewline`.
 */
export function packingStep(
  dPacked: Tensor,
  plan: PackingPlan,
  featureRows: number,
  dNewline: Gradient | undefined,
): Tensor {
  const { device } = dPacked;
  const width = dPacked.size(1);
  const zeros = (rows: number): Tensor => {
    const tensor = device.empty([rows, width], "f32", "gradient");
    setZero(tensor);
    return tensor;
  };
  const rowsOf = (source: CopyRun["from"]): Tensor => {
    const rows = new Uint32Array(plan.tokens).fill(NO_ROW);
    for (const { from, sourceRow, targetRow, count } of plan.copies) {
      if (from === source) for (let i = 0; i < count; i++) rows[targetRow + i] = sourceRow + i;
    }
    return device.upload(rows, [rows.length], `${source} rows`);
  };
  const dFeatures = zeros(featureRows);
  scatterRows(dPacked, rowsOf("features"), dFeatures);
  dNewline?.addRows(dPacked, rowsOf("newline"));
  if (plan.resample) {
    const { rows, sources, weights } = plan.resample;
    const dBlended = zeros(rows);
    scatterRows(dPacked, rowsOf("resampled"), dBlended);
    // The four neighbours of each row, with the weights of bilinear interpolation.
    for (let corner = 0; corner < 4; corner++) {
      const ids = Uint32Array.from({ length: rows }, (_, i) => sources[4 * i + corner]!);
      const shares = Float32Array.from({ length: rows }, (_, i) => {
        const [lower, right] = [weights[2 * i]!, weights[2 * i + 1]!];
        return (corner < 2 ? 1 - lower : lower) * (corner % 2 === 0 ? 1 - right : right);
      });
      const uploaded = device.upload(ids, [rows], "neighbours");
      scatterRows(dBlended, uploaded, dFeatures, { weights: device.upload(shares, [rows], "shares") });
    }
  }
  return dFeatures;
}
