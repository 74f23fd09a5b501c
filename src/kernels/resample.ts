import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const resampleKernel = new Kernel(
  "resample",
  `
struct Params { width: u32, first: u32, count: u32, add: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;         // [·, width]
@group(0) @binding(1) var<storage, read> sources: array<vec4u>;  // [rows]: top left, top right, bottom left, bottom right
@group(0) @binding(2) var<storage, read> weights: array<vec2f>;  // [rows]: weight of the lower row, of the right column
@group(0) @binding(3) var<storage, read_write> y: array<f32>;    // [rows, width]

// A weighted row of x, which contains rows first to first + count of the whole matrix; other dispatches add the others.
fn blend(source: u32, weight: f32, column: u32) -> f32 {
  let row = source - params.first;
  if (source < params.first || row >= params.count) { return 0.0; }
  return weight * x[row * params.width + column];
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.width) { return; }
  let source = sources[id.y];
  let w = weights[id.y];
  let top = blend(source.x, 1.0 - w.y, id.x) + blend(source.y, w.y, id.x);
  let bottom = blend(source.z, 1.0 - w.y, id.x) + blend(source.w, w.y, id.x);
  let at = id.y * params.width + id.x;
  var value = (1.0 - w.x) * top + w.x * bottom;
  if (params.add == 1u) { value += y[at]; }
  y[at] = value;
}
`,
  { LANES: 64 },
);

/** Rows `first` to `first + tensor.size(0)` of a matrix that is stored in several tensors. */
export interface RowPiece {
  readonly first: number;
  readonly tensor: Tensor;
}

/**
 * Bilinear interpolation of rows, as torch's `interpolate(mode="bilinear")` with positions and weights from the host: every result row
 * is a weighted sum of four rows of x `[·, D]`, which may be in several tensors; sources `[R, 4]` u32, weights `[R, 2]` f32, result
 * `[R, D]`.
 */
export function resample(x: readonly RowPiece[], sources: Tensor, weights: Tensor, label: string): Tensor {
  const width = x[0]!.tensor.size(-1);
  const rows = sources.size(0);
  const y = sources.device.empty([rows, width], "f32", label);
  for (const [i, piece] of x.entries()) resamplePiece(piece, sources, weights, y, i > 0);
  return y;
}

/** What one piece of x contributes to the result y of `resample`: added to it, or in its place. */
export function resamplePiece(
  { first, tensor }: RowPiece,
  sources: Tensor,
  weights: Tensor,
  y: Tensor,
  adds: boolean,
): void {
  const [rows, width] = [y.size(0), y.size(1)];
  y.device.run(
    resampleKernel,
    { x: tensor, sources, weights, y },
    { width, first, count: tensor.size(0), add: adds ? 1 : 0 },
    [Math.ceil(width / resampleKernel.constants.LANES), rows],
  );
}
