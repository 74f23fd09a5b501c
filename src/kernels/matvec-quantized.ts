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
    let total = subgroupAdd(totalOf(v + u));
    v *= shiftOf(lane);
    u *= shiftOf(lane);
    let e0 = subgroupBroadcast(v, 0u);
    let e1 = subgroupBroadcast(v, 1u);
    let e2 = subgroupBroadcast(v, 2u);
    let e3 = subgroupBroadcast(v, 3u);
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

const PRODUCTS = `
fn products(group: u32, lane: u32, total: f32, e0: vec4f, e1: vec4f, e2: vec4f, e3: vec4f, e4: vec4f, e5: vec4f, e6: vec4f, e7: vec4f) -> vec4f {
  let sums = vec4f(
    product(group, lane, e0, e1, e2, e3, e4, e5, e6, e7),
    product(group, lane + 8u, e0, e1, e2, e3, e4, e5, e6, e7),
    product(group, lane + 16u, e0, e1, e2, e3, e4, e5, e6, e7),
    product(group, lane + 24u, e0, e1, e2, e3, e4, e5, e6, e7));
  return scaled(sums, group, lane, total);
}`;

/** WGSL dot products of a group of the packed block (binding 1) with the row. */
export const GROUP_PRODUCTS: Record<"q8" | "q4", string> = {
  q8: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, WORDS]
const WORDS = GROUP / 4u * PANEL + PANEL / 8u;
fn totalOf(v: vec4f) -> f32 { return dot(v, vec4f(-128.0)); }
fn shiftOf(lane: u32) -> vec4f { return vec4f(1.0, 0.00390625, 0.0000152587890625, 1.0); }
fn quad(w: u32, e: vec4f) -> f32 {
  let n = vec4i(vec4u(w & 0xffu, w & 0xff00u, w & 0xff0000u, w >> 24u));
  return (f32(n.x) * e.x + f32(n.y) * e.y) + (f32(n.z) * e.z + f32(n.w) * e.w);
}
fn product(group: u32, lane: u32, e0: vec4f, e1: vec4f, e2: vec4f, e3: vec4f, e4: vec4f, e5: vec4f, e6: vec4f, e7: vec4f) -> f32 {
  let a = weights[group * WORDS + lane];
  let b = weights[group * WORDS + PANEL + lane];
  return (quad(a.x, e0) + quad(a.y, e1)) + (quad(a.z, e2) + quad(a.w, e3))
    + ((quad(b.x, e4) + quad(b.y, e5)) + (quad(b.z, e6) + quad(b.w, e7)));
}
fn scaled(sums: vec4f, group: u32, lane: u32, total: f32) -> vec4f {
  let words = weights[group * WORDS + GROUP / 4u * PANEL + lane / 2u];
  let pair = select(words.xy, words.zw, lane % 2u == 1u);
  return (sums + total) * vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
}
${PRODUCTS}`,
  q4: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, WORDS]
const WORDS = PANEL + PANEL / 4u;
fn totalOf(v: vec4f) -> f32 { return dot(v, vec4f(1.0)); }
fn shiftOf(lane: u32) -> vec4f { return vec4f(1.0, 0.0625, 0.00390625, 0.000244140625); }
fn eight(w: u32, a: vec4f, b: vec4f) -> f32 {
  let i = vec4i(vec4u(w) & vec4u(0xfu, 0xf0u, 0xf00u, 0xf000u));
  let j = vec4i(vec4u(w >> 16u) & vec4u(0xfu, 0xf0u, 0xf00u, 0xf000u));
  return (f32(i.x) * a.x + f32(i.y) * a.y) + (f32(i.z) * a.z + f32(i.w) * a.w)
    + ((f32(j.x) * b.x + f32(j.y) * b.y) + (f32(j.z) * b.z + f32(j.w) * b.w));
}
fn product(group: u32, lane: u32, e0: vec4f, e1: vec4f, e2: vec4f, e3: vec4f, e4: vec4f, e5: vec4f, e6: vec4f, e7: vec4f) -> f32 {
  let w = weights[group * WORDS + lane];
  return (eight(w.x, e0, e1) + eight(w.y, e2, e3)) + (eight(w.z, e4, e5) + eight(w.w, e6, e7));
}
fn scaled(sums: vec4f, group: u32, lane: u32, total: f32) -> vec4f {
  let words = weights[group * WORDS + PANEL + lane];
  let a = unpack2x16float(words.x);
  let b = unpack2x16float(words.y);
  let c = unpack2x16float(words.z);
  let d = unpack2x16float(words.w);
  return sums * vec4f(a.x, b.x, c.x, d.x) + total * vec4f(a.y, b.y, c.y, d.y);
}
${PRODUCTS}`,
};
