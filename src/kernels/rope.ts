import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const ropeKernel = new Kernel(
  "rope",
  `
struct Params { rows: u32, queryWidth: u32, keyWidth: u32, half: u32, first: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;             // [rows, queryWidth + 2 * keyWidth]
@group(0) @binding(1) var<storage, read> cosines: array<f32>;       // [positions, half]
@group(0) @binding(2) var<storage, read> sines: array<f32>;         // [positions, half]
@group(0) @binding(3) var<storage, read_write> q: array<f32>;       // [rows, queryWidth]
@group(0) @binding(4) var<storage, read_write> keys: array<f32>;    // [capacity, keyWidth]
@group(0) @binding(5) var<storage, read_write> values: array<f32>;  // [capacity, keyWidth]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let width = params.queryWidth + 2u * params.keyWidth;
  let column = id.x;
  if (column >= width) { return; }
  let at = id.y * width + column;
  let row = params.first + id.y;
  if (column >= params.queryWidth + params.keyWidth) {
    values[row * params.keyWidth + column - params.queryWidth - params.keyWidth] = x[at];
    return;
  }
  let c = column % (2u * params.half);
  let angle = row * params.half + c % params.half;
  var value = x[at] * cosines[angle];
  if (c < params.half) { value -= x[at + params.half] * sines[angle]; } else { value += x[at - params.half] * sines[angle]; }
  if (column < params.queryWidth) { q[id.y * params.queryWidth + column] = value; }
  else { keys[row * params.keyWidth + column - params.queryWidth] = value; }
}
`,
  { LANES: 64 },
);

/**
 * Rotary position embedding in the half-split convention, and the way into the cache. x `[T, (H + 2K)·C]` holds queries,
 * keys and values side by side, tables `[positions, C/2]`; row i has position `first + i`. Result: rotated queries
 * `[T, H·C]`. In place: rows `first` to `first + T` of keys (rotated) and values, `[capacity, K·C]`. f32.
 */
export function rope(x: Tensor, cosines: Tensor, sines: Tensor, keys: Tensor, values: Tensor, first: number): Tensor {
  const [rows, width] = [x.size(0), x.size(1)];
  const half = cosines.size(1);
  const keyWidth = keys.size(1);
  const queryWidth = width - 2 * keyWidth;
  const q = x.device.empty([rows, queryWidth], "f32", "queries");
  x.device.run(ropeKernel, { x, cosines, sines, q, keys, values }, { rows, queryWidth, keyWidth, half, first }, [
    Math.ceil(width / ropeKernel.constants.LANES),
    rows,
  ]);
  return q;
}
