import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL } from "./packed.js";

/**
 * Matrix-vector product with quantised weights for CPU adapters with subgroups of 4 or 8 lanes; called by `matmul`.
 *
 * Like `matvecBroadcast`, a group of weights at a time: the lanes load its eight quads of the row and broadcast them from constant
 * lanes. The weights' bits are masked but not shifted: the row is premultiplied by the inverse power of two instead. Scales are
 * applied once per group, after its sums.
 */
export const matvecQuantizedKernel = new Kernel(
  "matvecQuantized",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epilogue: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [stride]

${PUT_COLUMNS}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let unit = group.x * BLOCKS * LANES + lane;
  let first = unit / 8u * params.groups;
  let second = (unit + LANES) / 8u * params.groups;
  var sa = vec4f();
  var sb = vec4f();
  var squares = 0.0;
  for (var g = 0u; g < params.groups; g++) {
    // Quads beyond the last are zero, so the weights' padding has no effect.
    let quad = g * GROUP + lane;
    var v = vec4f();
    var u = vec4f();
    if (lane < GROUP && quad < params.quads) { v = x[quad]; }
    if (LANES == 4u && quad + 4u < params.quads) { u = x[quad + 4u]; }
    if (NORM == 1u) {
      // The RMSNorm's scale is one number per row, so it is applied after the product.
      squares += dot(v, v) + dot(u, u);
      v *= normAt(min(quad, params.quads - 1u));
      u *= normAt(min(quad + 4u, params.quads - 1u));
    }
    var e0 = subgroupBroadcast(v, 0u);
    var e1 = subgroupBroadcast(v, 1u);
    var e2 = subgroupBroadcast(v, 2u);
    var e3 = subgroupBroadcast(v, 3u);
    var e4 = vec4f(); var e5 = e4; var e6 = e4; var e7 = e4;
    if (LANES == 4u) {
      e4 = subgroupBroadcast(u, 0u);
      e5 = subgroupBroadcast(u, 1u);
      e6 = subgroupBroadcast(u, 2u);
      e7 = subgroupBroadcast(u, 3u);
    } else {
      e4 = subgroupBroadcast(v, 4u);
      e5 = subgroupBroadcast(v, 5u);
      e6 = subgroupBroadcast(v, 6u);
      e7 = subgroupBroadcast(v, 7u);
    }
    let total = sumOf(e0, e1, e2, e3, e4, e5, e6, e7);
    e0 = shifted(e0); e1 = shifted(e1); e2 = shifted(e2); e3 = shifted(e3);
    e4 = shifted(e4); e5 = shifted(e5); e6 = shifted(e6); e7 = shifted(e7);
    sa += products(first + g, unit % 8u, total, e0, e1, e2, e3, e4, e5, e6, e7);
    if (BLOCKS == 2u) { sb += products(second + g, (unit + LANES) % 8u, total, e0, e1, e2, e3, e4, e5, e6, e7); }
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
  { PANEL, GROUP, LANES: 8, BLOCKS: 1, NORM: 0 },
  ["enable subgroups;"],
);
