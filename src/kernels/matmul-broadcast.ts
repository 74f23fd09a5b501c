import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL } from "./packed.js";

/**
 * Matrix product for CPU adapters with subgroups of 8 lanes; called by `matmul`.
 *
 * A workgroup is one subgroup. A lane owns four columns, eight apart, of sixteen rows: 64 sums. Each lane loads the elements of two
 * rows and broadcasts them from a constant lane, which compiles to one shuffle: no workgroup memory, no barrier, and every
 * loaded weight is used sixteen times.
 */
export const matmulBroadcastKernel = new Kernel(
  "matmulBroadcast",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epilogue: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;         // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // [rows, stride]

fn add(s: vec4f, v: vec4f, w: mat4x4f) -> vec4f {
  // Not fma(): it is emulated where the instruction is missing, and compilers fuse this expression where it exists.
  return s + v.x * w[0] + v.y * w[1] + v.z * w[2] + v.w * w[3];
}

${PUT_COLUMNS}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.y * ROWS;
  let width = params.quads;
  let unit = group.x * LANES + lane;
  let inPanel = unit % 8u;
  let start = unit / 8u * params.groups;
  let last = params.rows - 1u;
  let xa = min(row + lane, last) * width;
  let xb = min(row + lane + LANES, last) * width;
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  var s8 = vec4f(); var s9 = vec4f(); var s10 = vec4f(); var s11 = vec4f();
  var s12 = vec4f(); var s13 = vec4f(); var s14 = vec4f(); var s15 = vec4f();
  var c0 = vec2f(); var c1 = vec2f(); var c2 = vec2f(); var c3 = vec2f();
  for (var k = 0u; k < width; k++) {
    let block = start + k / GROUP;
    if (k % GROUP == 0u) {
      c0 = scaleOf(block, inPanel);
      c1 = scaleOf(block, inPanel + 8u);
      c2 = scaleOf(block, inPanel + 16u);
      c3 = scaleOf(block, inPanel + 24u);
    }
    let quad = k % GROUP;
    let w = transpose(mat4x4f(
      load(block, quad, inPanel, c0), load(block, quad, inPanel + 8u, c1),
      load(block, quad, inPanel + 16u, c2), load(block, quad, inPanel + 24u, c3)));
    let va = x[xa + k];
    let vb = x[xb + k];
    s0 = add(s0, subgroupBroadcast(va, 0u), w);
    s1 = add(s1, subgroupBroadcast(va, 1u), w);
    s2 = add(s2, subgroupBroadcast(va, 2u), w);
    s3 = add(s3, subgroupBroadcast(va, 3u), w);
    s4 = add(s4, subgroupBroadcast(va, 4u), w);
    s5 = add(s5, subgroupBroadcast(va, 5u), w);
    s6 = add(s6, subgroupBroadcast(va, 6u), w);
    s7 = add(s7, subgroupBroadcast(va, 7u), w);
    s8 = add(s8, subgroupBroadcast(vb, 0u), w);
    s9 = add(s9, subgroupBroadcast(vb, 1u), w);
    s10 = add(s10, subgroupBroadcast(vb, 2u), w);
    s11 = add(s11, subgroupBroadcast(vb, 3u), w);
    s12 = add(s12, subgroupBroadcast(vb, 4u), w);
    s13 = add(s13, subgroupBroadcast(vb, 5u), w);
    s14 = add(s14, subgroupBroadcast(vb, 6u), w);
    s15 = add(s15, subgroupBroadcast(vb, 7u), w);
  }
  // One call in a loop, since calls are inlined: compiling them takes longer than running them.
  var sums = array<vec4f, ROWS>(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15);
  for (var i = 0u; i < ROWS; i++) { put(sums[i], row + i, unit); }
}
`,
  { PANEL, GROUP, ROWS: 16, LANES: 8 },
  ["enable subgroups;"],
);
