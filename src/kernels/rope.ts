import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const ropeKernel = new Kernel(
  "rope",
  `
struct Params { rows: u32, width: u32, rotated: u32, half: u32, firstPosition: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [rows, width]
@group(0) @binding(1) var<storage, read> cosines: array<f32>;  // [positions, half]
@group(0) @binding(2) var<storage, read> sines: array<f32>;    // [positions, half]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [rows, width]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x;
  if (column >= params.width) { return; }
  let at = id.y * params.width + column;
  var value = x[at];
  if (column < params.rotated) {
    let c = column % (2u * params.half);
    let m = c % params.half;
    let angle = (params.firstPosition + id.y) * params.half + m;
    if (c < params.half) { value = value * cosines[angle] - x[at + params.half] * sines[angle]; }
    else { value = value * cosines[angle] + x[at - params.half] * sines[angle]; }
  }
  y[at] = value;
}
`,
  { LANES: 64 },
);

/**
 * Rotary position embedding in the half-split convention on the first `rotated` columns of each row (heads of
 * `2·half`), the rest copied: x `[T, width]`, tables `[positions, half]` f32; row i has position `firstPosition + i`.
 */
export function rope(x: Tensor, cosines: Tensor, sines: Tensor, rotated: number, firstPosition: number): Tensor {
  const [rows, width] = [x.size(0), x.size(1)];
  const half = cosines.size(1);
  const y = x.device.empty(x.shape, "f32", `${x.label} rotated`);
  x.device.run(ropeKernel, { x, cosines, sines, y }, { rows, width, rotated, half, firstPosition }, [
    Math.ceil(width / ropeKernel.constants.LANES),
    rows,
  ]);
  return y;
}
