import { packRows } from "../kernels/attention-gradient.js";
import { gather } from "../kernels/gather.js";
import { gradientProduct } from "../kernels/gradient-product.js";
import { transpose } from "../kernels/head-rows.js";
import { matmul } from "../kernels/matmul.js";
import type { PackedMatrix } from "../kernels/packed.js";
import type { Tensor } from "../runtime/tensor.js";

/** Rows from which on it costs less to transpose a factor, and to multiply as in the forward pass. */
const MANY_ROWS = 64;
/** Columns of weights up to which they are transposed: output heads have more, and few rows. */
const MOST_COLUMNS = 65_535;

/** Gradient of the input of y = x·Wᵀ: dy `[T, columns]`, W `[columns, inner]` → `dY·W` `[T, inner]`, added to `sum` if given (which may be overwritten). */
export function inputGradient(dy: Tensor, weights: PackedMatrix, sum?: Tensor): Tensor {
  const { device } = dy;
  if (dy.size(0) < MANY_ROWS || weights.columns > MOST_COLUMNS) {
    return gradientProduct({ tensor: dy }, weights, { into: sum });
  }
  return device.scope(() => {
    const ids = Uint32Array.from({ length: weights.columns }, (_, row) => row);
    const rows = gather(device.upload(ids, [ids.length], "rows"), weights, weights.label); // [columns, inner]
    return matmul(dy, packRows(device, transpose(rows)), { residual: sum, wideRange: true });
  });
}

/** Adds `dYᵀ·X`, the gradient of W: dy `[T, columns]`, x `[T, inner]`, `into` `[count, inner]` for the columns from `first` on. */
export function addWeightGradient(dy: Tensor, x: Tensor, into: Tensor, first: number): void {
  const { device } = dy;
  const count = into.size(0);
  if (dy.size(0) < MANY_ROWS) {
    const columns = { first, count };
    gradientProduct({ tensor: dy, transposed: true, columns }, { tensor: x }, { into });
    return;
  }
  device.scope(() => {
    const weights = packRows(device, transpose(x)); // [inner, T]
    const sum = matmul(transpose(dy, first, count), weights, { residual: into, wideRange: true }); // [count, inner]
    device.copy(sum, 0, into, 0, into.sizeBytes);
  });
}
