import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const rotateKernel = new Kernel(
  "rotate",
  `
struct Params { width: u32, rotated: u32, half: u32, first: u32, sign: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;          // [rows, width]
@group(0) @binding(1) var<storage, read> cosines: array<f32>;    // [positions, half]
@group(0) @binding(2) var<storage, read> sines: array<f32>;      // [positions, half]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;    // [rows, width]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.width) { return; }
  let at = id.y * params.width + id.x;
  if (id.x >= params.rotated) { y[at] = x[at]; return; }
  let c = id.x % (2u * params.half);
  let angle = (params.first + id.y) * params.half + c % params.half;
  let turned = select(x[at - params.half], -x[at + params.half], c < params.half);
  y[at] = x[at] * cosines[angle] + params.sign * turned * sines[angle];
}
`,
  { LANES: 64 },
);

/**
 * Rotary position embedding (RoPE, arXiv 2104.09864, half-split) of the first `rotated` columns of x `[T, width]`, which are whole heads of
 * `2·half` columns; the others are copied. Tables `[positions, half]`; row i has position `first + i`. With `sign` −1 the rotation is
 * undone, which is also its gradient: the rotation is orthogonal.
 */
export function rotate(
  x: Tensor,
  cosines: Tensor,
  sines: Tensor,
  rotated: number,
  first: number,
  sign: 1 | -1,
): Tensor {
  const [rows, width] = [x.size(0), x.size(1)];
  const y = x.device.empty([rows, width], "f32", `${x.label} rotated`);
  const parameters = { width, rotated, half: cosines.size(1), first, sign };
  x.device.run(rotateKernel, { x, cosines, sines, y }, parameters, [
    Math.ceil(width / rotateKernel.constants.LANES),
    rows,
  ]);
  return y;
}
