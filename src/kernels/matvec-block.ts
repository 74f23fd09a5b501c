import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { GROUP, PANEL } from "./packed.js";

const PARAMS = `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epilogue: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;      // [quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [stride]

${PUT_COLUMNS}`;

/**
 * Matrix-vector product with quantised weights for CPU adapters without subgroups; called by `matmul`.
 *
 * Like `matvecQuantized`, except that each lane loads the row itself, a group at a time. One workgroup per panel, four columns per lane.
 */
export const matvecBlockQuantizedKernel = new Kernel(
  "matvecBlockQuantized",
  `
${PARAMS}

// Quads beyond the last are zero, so the weights' padding has no effect.
fn quadAt(i: u32) -> vec4f { return select(vec4f(), x[min(i, params.quads - 1u)], i < params.quads); }

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var sums = vec4f();
  for (var g = 0u; g < params.groups; g++) {
    let at = g * GROUP;
    let e0 = quadAt(at);
    let e1 = quadAt(at + 1u);
    let e2 = quadAt(at + 2u);
    let e3 = quadAt(at + 3u);
    let e4 = quadAt(at + 4u);
    let e5 = quadAt(at + 5u);
    let e6 = quadAt(at + 6u);
    let e7 = quadAt(at + 7u);
    let total = sumOf(e0, e1, e2, e3, e4, e5, e6, e7);
    let a = shifted(e0); let b = shifted(e1); let c = shifted(e2); let d = shifted(e3);
    let e = shifted(e4); let f = shifted(e5); let h = shifted(e6); let i = shifted(e7);
    sums += products(group.x * params.groups + g, lane, total, a, b, c, d, e, f, h, i);
  }
  put(sums, 0u, group.x * 8u + lane);
}
`,
  { PANEL, GROUP },
);

/** The same for f32, f16 and bf16 weights, 16 bytes at a time. */
export const matvecBlockKernel = new Kernel(
  "matvecBlock",
  `
${PARAMS}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var at = group.x * (params.groups * 8u / QUADS * PANEL) + lane;
  var sums = vec4f();
  for (var quad = 0u; quad < params.quads; quad += QUADS) {
    let a = x[quad];
    var b = a;
    if (QUADS == 2u) { b = select(vec4f(), x[min(quad + 1u, params.quads - 1u)], quad + 1u < params.quads); }
    sums = added(sums, at, a, b);
    at += PANEL;
  }
  put(sums, 0u, group.x * 8u + lane);
}
`,
  { PANEL },
);
