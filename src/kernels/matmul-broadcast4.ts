import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL } from "./packed.js";

const LANES = 4;
const ROWS = 24;

/** Generates one WGSL line per row: `line(row, lane that loads it, index among that lane's loads)`. */
const rows = (line: (row: number, lane: number, load: number) => string): string =>
  Array.from({ length: ROWS }, (_, row) => line(row, row % LANES, Math.floor(row / LANES))).join("\n  ");
const loads = (line: (load: number) => string): string =>
  Array.from({ length: ROWS / LANES }, (_, load) => line(load)).join("\n  ");

/**
 * Matrix product for CPU adapters with subgroups of 4 lanes (SwiftShader); called by `matmul`.
 *
 * Like `matmulBroadcast`, with more sums in registers: a load costs as much as twenty multiply-adds there, so a lane owns eight
 * columns of twenty-four rows. The subgroup is one quad, and `quadBroadcast` is the cheaper broadcast.
 */
export const matmulBroadcast4Kernel = new Kernel(
  "matmulBroadcast4",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epilogue: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;         // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // [rows, stride]

// A matrix-vector product, not four products with its columns, which take a fifth longer on SwiftShader.
fn add(s: vec4f, v: vec4f, w: mat4x4f) -> vec4f { return s + w * v; }

fn columns(group: u32, quad: u32, lane: u32, c0: vec2f, c1: vec2f, c2: vec2f, c3: vec2f) -> mat4x4f {
  return transpose(mat4x4f(
    load(group, quad, lane, c0), load(group, quad, lane + 8u, c1), load(group, quad, lane + 16u, c2), load(group, quad, lane + 24u, c3)));
}

${PUT_COLUMNS}

// One workgroup per panel: a lane's first four columns begin at the lane's index, the second four LANES further.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.y * ROWS;
  let width = params.quads;
  let start = group.x * params.groups;
  let last = params.rows - 1u;
  ${loads((i) => `let x${i} = min(row + lane + ${i}u * LANES, last) * width;`)}
  ${rows((r) => `var a${r} = vec4f(); var b${r} = vec4f();`)}
  var c0 = vec2f(); var c1 = vec2f(); var c2 = vec2f(); var c3 = vec2f();
  var d0 = vec2f(); var d1 = vec2f(); var d2 = vec2f(); var d3 = vec2f();
  for (var k = 0u; k < width; k++) {
    let block = start + k / GROUP;
    let quad = k % GROUP;
    if (quad == 0u) {
      c0 = scaleOf(block, lane);
      c1 = scaleOf(block, lane + 8u);
      c2 = scaleOf(block, lane + 16u);
      c3 = scaleOf(block, lane + 24u);
      d0 = scaleOf(block, lane + 4u);
      d1 = scaleOf(block, lane + 12u);
      d2 = scaleOf(block, lane + 20u);
      d3 = scaleOf(block, lane + 28u);
    }
    let wa = columns(block, quad, lane, c0, c1, c2, c3);
    let wb = columns(block, quad, lane + LANES, d0, d1, d2, d3);
    // A row's elements are loaded just before they are used: loading all of them first would spill registers.
    ${rows(
      (r, lane, i) =>
        `${lane === 0 ? `let v${i} = x[x${i} + k];\n  ` : ""}  { let e = quadBroadcast(v${i}, ${lane}u); a${r} = add(a${r}, e, wa); b${r} = add(b${r}, e, wb); }`,
    )}
  }
  let unit = group.x * 8u + lane;
  // One call in a loop, not one per sum: calls are inlined, and compiling them took half the time to the first token.
  var sums: array<vec4f, 2u * ROWS>;
  ${rows((r) => `sums[${2 * r}] = a${r}; sums[${2 * r + 1}] = b${r};`)}
  for (var i = 0u; i < 2u * ROWS; i++) { put(sums[i], row + i / 2u, unit + i % 2u * LANES); }
}
`,
  { PANEL, GROUP, ROWS, LANES },
  ["enable subgroups;"],
);
