import { partStep } from "../runtime/tensor.js";
import type { Work, WorkBudget } from "../runtime/work-budget.js";
import { PANEL, type PackedBlock, type PackedMatrix } from "./packed.js";

/** Columns of a product that are one dispatch. */
export interface ProductPiece {
  readonly block: PackedBlock;
  readonly work: Work;
}

/**
 * Cuts the product of `rows` rows with a matrix into dispatches of whole panels, none of which takes longer than a submission may: the
 * matrix's blocks, or parts of them. Each column is computed as in one dispatch. `columnsAGroup` are the columns of a workgroup.
 */
export function productPieces(
  weights: PackedMatrix,
  rows: number,
  columnsAGroup: number,
  budget: WorkBudget,
): ProductPiece[] {
  const pieces: ProductPiece[] = [];
  for (const block of weights.blocks) {
    const { tensor, columns, firstColumn } = block;
    const [panels, words] = [tensor.size(0), tensor.size(1)];
    const whole = workOf(rows, columns, weights.inner, tensor.sizeBytes);
    const fitting = budget.fitting(whole, panels);
    if (fitting >= panels) {
      pieces.push({ block, work: whole });
      continue;
    }
    // Workgroups stay full, and parts begin where bindings may.
    const step = Math.max(columnsAGroup / PANEL, partStep(words * 4));
    const count = Math.max(1, Math.floor(fitting / step)) * step;
    for (let first = 0; first < panels; first += count) {
      const own = Math.min(count, panels - first);
      const part = tensor.part(first * words, [own, words]);
      const width = Math.min(own * PANEL, columns - first * PANEL);
      pieces.push({
        block: { tensor: part, firstColumn: firstColumn + first * PANEL, columns: width },
        work: workOf(rows, width, weights.inner, part.sizeBytes),
      });
    }
  }
  return pieces;
}

/** Work of a product; the result is written, and a residual of its size is read. */
function workOf(rows: number, columns: number, inner: number, weightBytes: number): Work {
  return { flops: 2 * rows * columns * inner, bytes: weightBytes + 4 * rows * (inner + 2 * columns) };
}
