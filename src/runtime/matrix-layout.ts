/**
 * The layout of `matmulSubgroupMatrix` in workgroup memory, which the self-test of the feature uses too: a driver may be right for one
 * layout and wrong for another.
 */

/** Rows and columns of a workgroup; a quarter of them per subgroup. */
export const MATRIX_TILE = 64;

/** Workgroup memory that a depth of 8 needs; every adapter has enough for 4. */
const DEEP_BYTES = 24576;

/** Quads of the inner dimension that are in workgroup memory at a time. */
export function matrixDepth(workgroupBytes: number): 4 | 8 {
  return workgroupBytes >= DEEP_BYTES ? 8 : 4;
}

/** WGSL constants of the layout, from TILE, those of the matrices, M and N, and DEPTH. */
export const MATRIX_LAYOUT = `
const OWN = TILE / 2u;
const THREADS = 128u;
const DOWN = OWN / M;
const ACROSS = OWN / N;
// Columns per epilogue step: a block of 8 gate columns and the block of 8 up columns.
const WIDE = 16u;
// Elements of a row; not a power of two, so that the rows of a matrix begin in different banks.
const STRIDE = 4u * DEPTH + 8u;`;
