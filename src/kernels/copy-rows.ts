import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const copyRowsKernel = new Kernel(
  "copyRows",
  `
struct Params { width: u32, sourceStride: u32, sourceColumn: u32, targetStride: u32, targetColumn: u32, first: u32 }
@group(0) @binding(0) var<storage, read> source: array<f32>;        // [rows, sourceStride]
@group(0) @binding(1) var<storage, read_write> into: array<f32>;  // [rows, targetStride]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.width) { return; }
  let taken = sourceRow(id.y);
  let row = targetRow(id.y);
  into[row * params.targetStride + params.targetColumn + id.x] = source[taken * params.sourceStride + params.sourceColumn + id.x];
}
`,
  { LANES: 64 },
);

const LISTED = `
@group(0) @binding(2) var<storage, read> rows: array<u32>;  // [n, 2]: source row, target row
fn sourceRow(i: u32) -> u32 { return rows[2u * i]; }
fn targetRow(i: u32) -> u32 { return rows[2u * i + 1u]; }`;

const CONSECUTIVE = `
fn sourceRow(i: u32) -> u32 { return i; }
fn targetRow(i: u32) -> u32 { return params.first + i; }`;

/** In place: `target[rows[i][1]] = source[rows[i][0]]`; source `[·, D]`, target `[·, D]` f32, rows `[n, 2]` u32. */
export function copyRows(source: Tensor, rows: Tensor, target: Tensor): void {
  const width = target.size(-1);
  source.device.run(
    copyRowsKernel.variant({}, LISTED),
    { source, into: target, rows },
    { width, sourceStride: width, sourceColumn: 0, targetStride: width, targetColumn: 0, first: 0 },
    [Math.ceil(width / copyRowsKernel.constants.LANES), rows.size(0)],
  );
}

/**
 * In place: `target[first + i, :] = source[i, column : column + width]` for every row of the source.
 * source `[T, ·]`, target `[≥ first + T, width]` f32. This is how keys and values join the cache.
 */
export function appendRows(source: Tensor, column: number, target: Tensor, first: number): void {
  const width = target.size(-1);
  source.device.run(
    copyRowsKernel.variant({}, CONSECUTIVE),
    { source, into: target },
    { width, sourceStride: source.size(-1), sourceColumn: column, targetStride: width, targetColumn: 0, first },
    [Math.ceil(width / copyRowsKernel.constants.LANES), source.length / source.size(-1)],
  );
}
