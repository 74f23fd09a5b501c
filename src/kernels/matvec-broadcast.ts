import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { PANEL } from "./packed.js";

/**
 * Matrix-vector product for CPU adapters with subgroups of 4 or 8 lanes; called by `matmul`.
 *
 * A workgroup is one subgroup. A lane owns four columns, eight apart, or eight of them, and walks the whole inner dimension. Each lane
 * loads a quad of the row and broadcasts it: no workgroup memory, no barrier. The loop over pieces of 16 bytes is not unrolled:
 * unrolled, its loads exceed the registers and it takes twice as long.
 */
export const matvecBroadcastKernel = new Kernel(
  "matvecBroadcast",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epilogue: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [stride]

${PUT_COLUMNS}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let unit = group.x * BLOCKS * LANES + lane;
  let pieces = params.groups * 8u / QUADS * PANEL;
  var first = unit / 8u * pieces + unit % 8u;
  var second = (unit + LANES) / 8u * pieces + (unit + LANES) % 8u;
  var v = vec4f();
  var sa = vec4f();
  var sb = vec4f();
  var squares = 0.0;
  for (var quad = 0u; quad < params.quads; quad += QUADS) {
    if (quad % LANES == 0u) {
      v = vec4f();
      if (quad + lane < params.quads) { v = x[quad + lane]; }
      if (NORM == 1u) {
        // The RMSNorm's scale is one number per row, so it is applied after the product.
        squares += dot(v, v);
        v *= normAt(min(quad + lane, params.quads - 1u));
      }
    }
    let a = subgroupShuffle(v, quad % LANES);
    var b = a;
    if (QUADS == 2u) { b = subgroupShuffle(v, quad % LANES + 1u); }
    sa = added(sa, first, a, b);
    first += PANEL;
    if (BLOCKS == 2u) {
      sb = added(sb, second, a, b);
      second += PANEL;
    }
  }
  if (NORM == 1u) {
    let scale = 1.0 / sqrt(subgroupAdd(squares) / f32(4u * params.quads) + params.epsilon);
    sa *= scale;
    sb *= scale;
  }
  put(sa, 0u, unit);
  if (BLOCKS == 2u) { put(sb, 0u, unit + LANES); }
}
`,
  { PANEL, LANES: 8, BLOCKS: 1, NORM: 0 },
  ["enable subgroups;"],
);
