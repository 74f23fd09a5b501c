import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const rowScalesKernel = new Kernel(
  "rowScales",
  `
struct Params { rows: u32, quads: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;            // [rows, quads]
@group(0) @binding(1) var<storage, read_write> scales: array<f32>;   // [rows]

const LEVELS = firstLeadingBit(LANES);
// More than any row has; a constant bound proves that the loop ends.
const MOST_STEPS = 65536u;
var<workgroup> largest: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * ROWS_ACROSS + group.x;
  // The others repeat the last row, so that barriers are reached by all.
  let start = min(row, params.rows - 1u) * params.quads;
  var own = vec4f();
  for (var step = 0u; step < MOST_STEPS; step++) {
    let quad = step * LANES + lane;
    if (quad >= params.quads) { break; }
    own = max(own, abs(x[start + quad]));
  }
  largest[lane] = max(max(own.x, own.y), max(own.z, own.w));
  workgroupBarrier();
  for (var level = 1u; level <= LEVELS; level++) {
    let reach = LANES >> level;
    if (lane < reach) { largest[lane] = max(largest[lane], largest[lane + reach]); }
    workgroupBarrier();
  }
  if (lane == 0u && row < params.rows) {
    // 2^14 over the power of two of the largest; of rows below 2^-63 as if they were there, so that scale and inverse are normal numbers.
    let exponent = clamp(bitcast<u32>(largest[0]) >> 23u, 64u, 254u);
    scales[row] = bitcast<f32>((268u - exponent) << 23u);
  }
}
`,
  { LANES: 64, ROWS_ACROSS: 32768 },
);

/**
 * Powers of two that scale rows to the range of f16: `scale · max|x|` of a row is at least 2^14 and less than 2^15, or less where
 * the row is below 2^-63. x `[rows, quads · 4]` f32; returns `[rows]` f32.
 */
export function rowScales(x: Tensor, quads: number): Tensor {
  const rows = x.length / (4 * quads);
  const scales = x.device.empty([rows], "f32", `${x.label} scales`);
  const { ROWS_ACROSS } = rowScalesKernel.constants;
  const grid = [Math.min(rows, ROWS_ACROSS), Math.ceil(rows / ROWS_ACROSS)] as const;
  x.device.run(rowScalesKernel, { x, scales }, { rows, quads }, grid);
  return scales;
}
