import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL } from "./packed.js";

/** The most rows of a workgroup: with more, the weights of a group leave the registers and the first level of the cache. */
export const MOST_QUANTIZED_ROWS = 4;

/**
 * Matrix product of 2 to 16 rows with quantised weights for CPU adapters with subgroups of 4 or 8 lanes; called by `matmul`.
 *
 * As `matvecQuantized` row after row, except that the weights of a group become floats once for all rows.
 */
export const fewRowsQuantizedKernel = new Kernel(
  "fewRowsQuantized",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epilogue: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;          // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;      // [rows, stride]

${PUT_COLUMNS}

// Every lane has the sum of its subgroup's quads, in the order of sumOf.
fn sumOfLanes(own: vec4f, other: vec4f) -> vec4f {
  let pairs = own + subgroupShuffleXor(own, 1u);
  let fours = pairs + subgroupShuffleXor(pairs, 2u);
  if (LANES == 8u) { return fours + subgroupShuffleXor(fours, 4u); }
  let next = other + subgroupShuffleXor(other, 1u);
  return fours + (next + subgroupShuffleXor(next, 2u));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.y * ROWS;
  let unit = group.x * LANES + lane;
  let first = unit / 8u * params.groups;
  let inPanel = unit % 8u;
  let width = params.quads;
  let last = params.rows - 1u;
  var s: array<vec4f, ROWS>;
  for (var g = 0u; g < params.groups; g++) {
    let block = first + g;
    let p = piecesAt(block, inPanel, 0u);
    let w0 = quads(p, 0u); let w1 = quads(p, 1u); let w2 = quads(p, 2u); let w3 = quads(p, 3u);
    let q = piecesAt(block, inPanel, 1u);
    let w4 = quads(q, 4u); let w5 = quads(q, 5u); let w6 = quads(q, 6u); let w7 = quads(q, 7u);
    let quad = g * GROUP + lane;
    ${Array.from({ length: MOST_QUANTIZED_ROWS }, (_, r) => {
      // Constant indices are checked in branches that are not taken too.
      const at = `min(${r}u, ROWS - 1u)`;
      return `if (ROWS > ${r}u) {
      let start = min(row + ${r}u, last) * width;
      // Quads beyond the last are zero, so the weights' padding has no effect.
      var v = vec4f();
      var u = vec4f();
      if (lane < GROUP && quad < width) { v = x[start + quad]; }
      if (LANES == 4u && quad + 4u < width) { u = x[start + quad + 4u]; }
      let total = totalOf(sumOfLanes(v, u));
      v = shifted(v);
      u = shifted(u);
      let a = subgroupBroadcast(v, 0u); let b = subgroupBroadcast(v, 1u);
      let c = subgroupBroadcast(v, 2u); let d = subgroupBroadcast(v, 3u);
      var e = vec4f(); var f = e; var h = e; var i = e;
      if (LANES == 4u) {
        e = subgroupBroadcast(u, 0u); f = subgroupBroadcast(u, 1u); h = subgroupBroadcast(u, 2u); i = subgroupBroadcast(u, 3u);
      } else {
        e = subgroupBroadcast(v, 4u); f = subgroupBroadcast(v, 5u); h = subgroupBroadcast(v, 6u); i = subgroupBroadcast(v, 7u);
      }
      let low = add(add(vec4f(), a, w0), b, w1) + add(add(vec4f(), c, w2), d, w3);
      let high = add(add(vec4f(), e, w4), f, w5) + add(add(vec4f(), h, w6), i, w7);
      s[${at}] += scaled(low + high, block, inPanel, total);
    }`;
    }).join("\n    ")}
  }
  // One call in a loop, since calls are inlined: compiling them takes longer than running them.
  for (var r = 0u; r < ROWS; r++) { put(s[r] * normScaleAt(min(row + r, last)), row + r, unit); }
}
`,
  { PANEL, GROUP, LANES: 8, ROWS: MOST_QUANTIZED_ROWS },
  ["enable subgroups;"],
);
