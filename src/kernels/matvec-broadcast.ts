import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL } from "./packed.js";

/**
 * The matrix product for one row where subgroups have few lanes and run on the CPU; called by `matmul`.
 *
 * A workgroup is one subgroup. A lane owns four columns, LANES apart, and walks the whole inner length; the lanes load
 * LANES quads of the row at once and broadcast them from constant lanes. No workgroup memory, no barrier.
 */
export const matvecBroadcastKernel = new Kernel(
  "matvecBroadcast",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [stride]

${PUT_COLUMNS}

// Four columns' products with one quad of the row.
fn products(v: vec4f, group: u32, quad: u32, lane: u32, s0: vec2f, s1: vec2f, s2: vec2f, s3: vec2f) -> vec4f {
  return vec4f(
    dot(v, load(group, quad, lane, s0)),
    dot(v, load(group, quad, lane + LANES, s1)),
    dot(v, load(group, quad, lane + 2u * LANES, s2)),
    dot(v, load(group, quad, lane + 3u * LANES, s3)));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first = group.x * 4u * LANES;
  let inPanel = first % PANEL + lane;
  let start = first / PANEL * params.groups;
  var sa = vec4f();
  var sb = vec4f();
  var squares = 0.0;
  for (var g = 0u; g < params.groups; g++) {
    let block = start + g;
    let s0 = scaleOf(block, inPanel);
    let s1 = scaleOf(block, inPanel + LANES);
    let s2 = scaleOf(block, inPanel + 2u * LANES);
    let s3 = scaleOf(block, inPanel + 3u * LANES);
    // Quads beyond the last are zeros here, so the weights' padding does not count.
    let quad = g * GROUP + lane;
    var v = vec4f();
    var u = vec4f();
    if (quad < params.quads) { v = x[quad]; }
    if (LANES == 4u && quad + 4u < params.quads) { u = x[quad + 4u]; }
    if (NORM == 1u) {
      // The norm's scale is one number for the row, so it can follow the product.
      squares += dot(v, v) + dot(u, u);
      v *= normAt(min(quad, params.quads - 1u));
      u *= normAt(min(quad + 4u, params.quads - 1u));
    }
    sa += products(subgroupBroadcast(v, 0u), block, 0u, inPanel, s0, s1, s2, s3);
    sb += products(subgroupBroadcast(v, 1u), block, 1u, inPanel, s0, s1, s2, s3);
    sa += products(subgroupBroadcast(v, 2u), block, 2u, inPanel, s0, s1, s2, s3);
    sb += products(subgroupBroadcast(v, 3u), block, 3u, inPanel, s0, s1, s2, s3);
    if (LANES == 8u) {
      sa += products(subgroupBroadcast(v, 4u), block, 4u, inPanel, s0, s1, s2, s3);
      sb += products(subgroupBroadcast(v, 5u), block, 5u, inPanel, s0, s1, s2, s3);
      sa += products(subgroupBroadcast(v, 6u), block, 6u, inPanel, s0, s1, s2, s3);
      sb += products(subgroupBroadcast(v, 7u), block, 7u, inPanel, s0, s1, s2, s3);
    } else {
      sa += products(subgroupBroadcast(u, 0u), block, 4u, inPanel, s0, s1, s2, s3);
      sb += products(subgroupBroadcast(u, 1u), block, 5u, inPanel, s0, s1, s2, s3);
      sa += products(subgroupBroadcast(u, 2u), block, 6u, inPanel, s0, s1, s2, s3);
      sb += products(subgroupBroadcast(u, 3u), block, 7u, inPanel, s0, s1, s2, s3);
    }
  }
  var sums = sa + sb;
  if (NORM == 1u) { sums *= 1.0 / sqrt(subgroupAdd(squares) / f32(4u * params.quads) + params.epsilon); }
  put(sums, 0u, first, lane);
}
`,
  { PANEL, GROUP, LANES: 8, SWIGLU: 0, NORM: 0 },
  ["enable subgroups;"],
);

/** Header lines of the norm that precedes the product. */
export const NORM_AT = {
  some: `
@group(0) @binding(5) var<storage, read> normWeight: array<vec4f>;  // [quads]
fn normAt(quad: u32) -> vec4f { return normWeight[quad]; }`,
  none: "fn normAt(quad: u32) -> vec4f { return vec4f(1.0); }",
};
