import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL } from "./packed.js";

/**
 * Matrix product for CPU adapters without subgroups; called by `matmul`.
 *
 * Like `matmulBroadcast`, except that each lane loads the rows' elements itself: four columns, eight apart, of eight rows. A load
 * costs as much as ten multiply-adds there, and the block needs three loads for eight multiply-adds.
 */
export const matmulBlockKernel = new Kernel(
  "matmulBlock",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epilogue: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;         // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // [rows, stride]

// A matrix-vector product, not four products with its columns, which take a fifth longer on SwiftShader.
fn add(s: vec4f, v: vec4f, w: mat4x4f) -> vec4f { return s + w * v; }

${PUT_COLUMNS}

// One workgroup per panel.
@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * ROWS;
  let width = params.quads;
  let start = group.x * params.groups;
  let last = params.rows - 1u;
  let x0 = row * width;
  let x1 = min(row + 1u, last) * width;
  let x2 = min(row + 2u, last) * width;
  let x3 = min(row + 3u, last) * width;
  let x4 = min(row + 4u, last) * width;
  let x5 = min(row + 5u, last) * width;
  let x6 = min(row + 6u, last) * width;
  let x7 = min(row + 7u, last) * width;
  var s0 = vec4f(); var s1 = vec4f(); var s2 = vec4f(); var s3 = vec4f();
  var s4 = vec4f(); var s5 = vec4f(); var s6 = vec4f(); var s7 = vec4f();
  var c0 = vec2f(); var c1 = vec2f(); var c2 = vec2f(); var c3 = vec2f();
  for (var k = 0u; k < width; k++) {
    let block = start + k / GROUP;
    let quad = k % GROUP;
    if (quad == 0u) {
      c0 = scaleOf(block, lane);
      c1 = scaleOf(block, lane + 8u);
      c2 = scaleOf(block, lane + 16u);
      c3 = scaleOf(block, lane + 24u);
    }
    let w = transpose(mat4x4f(
      load(block, quad, lane, c0), load(block, quad, lane + 8u, c1), load(block, quad, lane + 16u, c2), load(block, quad, lane + 24u, c3)));
    s0 = add(s0, x[x0 + k], w);
    s1 = add(s1, x[x1 + k], w);
    s2 = add(s2, x[x2 + k], w);
    s3 = add(s3, x[x3 + k], w);
    s4 = add(s4, x[x4 + k], w);
    s5 = add(s5, x[x5 + k], w);
    s6 = add(s6, x[x6 + k], w);
    s7 = add(s7, x[x7 + k], w);
  }
  let unit = group.x * 8u + lane;
  // One call in a loop, since calls are inlined: compiling them takes longer than running them.
  var sums = array<vec4f, ROWS>(s0, s1, s2, s3, s4, s5, s6, s7);
  for (var i = 0u; i < ROWS; i++) { put(sums[i], row + i, unit); }
}
`,
  { PANEL, GROUP, ROWS: 8 },
);
