import { Kernel } from "../runtime/kernel.js";
import { PANEL } from "./packed.js";

/**
 * The matrix product for one row where subgroups have few lanes and run on the CPU; called by `matmul`.
 *
 * A workgroup is one subgroup. A lane owns four columns, LANES apart, and walks the whole inner length; the lanes load
 * LANES quads of the row at once and broadcast them from constant lanes. No workgroup memory, no barrier.
 */
export const matvecBroadcastKernel = new Kernel(
  "matvecBroadcast",
  `
struct Params { rows: u32, quads: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [stride]

// Four columns' products with one quad of the row; quads beyond the last have zeros in v and read the last weights again.
fn products(v: vec4f, base: u32, lane: u32) -> vec4f {
  return vec4f(
    dot(v, load(base, lane)),
    dot(v, load(base, lane + LANES)),
    dot(v, load(base, lane + 2u * LANES)),
    dot(v, load(base, lane + 3u * LANES)));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first = group.x * 4u * LANES;
  let inPanel = first % PANEL + lane;
  let start = first / PANEL * params.quads * PANEL;
  let last = start + (params.quads - 1u) * PANEL;
  var base = start;
  var sa = vec4f();
  var sb = vec4f();
  for (var quad = 0u; quad < params.quads; quad += LANES) {
    var v = vec4f();
    if (quad + lane < params.quads) { v = x[quad + lane]; }
    sa += products(subgroupBroadcast(v, 0u), base, inPanel);
    sb += products(subgroupBroadcast(v, 1u), min(base + PANEL, last), inPanel);
    sa += products(subgroupBroadcast(v, 2u), min(base + 2u * PANEL, last), inPanel);
    sb += products(subgroupBroadcast(v, 3u), min(base + 3u * PANEL, last), inPanel);
    if (LANES == 8u) {
      sa += products(subgroupBroadcast(v, 4u), min(base + 4u * PANEL, last), inPanel);
      sb += products(subgroupBroadcast(v, 5u), min(base + 5u * PANEL, last), inPanel);
      sa += products(subgroupBroadcast(v, 6u), min(base + 6u * PANEL, last), inPanel);
      sb += products(subgroupBroadcast(v, 7u), min(base + 7u * PANEL, last), inPanel);
    }
    base += LANES * PANEL;
  }
  let sums = sa + sb;
  for (var j = 0u; j < 4u; j++) {
    let inBlock = first + lane + j * LANES;
    if (inBlock < params.columns) {
      let column = params.firstColumn + inBlock;
      y[column] = finish(sums[j], 0u, column, params.stride, params.residualRows);
    }
  }
}
`,
  { PANEL, LANES: 8 },
  ["enable subgroups;"],
);
