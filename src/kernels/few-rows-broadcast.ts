import { Kernel } from "../runtime/kernel.js";
import { PUT_COLUMNS } from "./epilogue.js";
import { PANEL } from "./packed.js";

/** Up to this many rows a product's rows have the sums that each has alone. */
export const FEW_ROWS = 16;

/** WGSL with one line per row: of its sums' index, of its index among its lane's loads, and of its lane. */
const everyRow = (line: (row: string, load: string, lane: string) => string): string =>
  Array.from({ length: FEW_ROWS }, (_, r) => {
    // Constant indices are checked in branches that are not taken too.
    const row = `min(${r}u, ROWS - 1u)`;
    return `if (ROWS > ${r}u) { ${line(row, `min(${r}u / LANES, LOADS - 1u)`, `${r}u % LANES`)} }`;
  }).join("\n    ");

/**
 * Matrix product of 2 to 16 rows for CPU adapters with subgroups of 4 or 8 lanes; called by `matmul`.
 *
 * Every row's sums have the order of `matvecBroadcast`, so that a sequence that decodes among others gets the same numbers as alone.
 * A workgroup is one subgroup. A lane owns four columns, eight apart, of all rows: it loads a piece of weights once for all of them.
 * Lane l loads the elements of rows l, l + LANES, …, which are broadcast from constant lanes. x is multiplied by the norm's weights
 * already (`normedRows`), and the rows' scales are applied after the product.
 */
export const fewRowsBroadcastKernel = new Kernel(
  "fewRowsBroadcast",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32, epilogue: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;          // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;      // [rows, stride]

const LOADS = (ROWS + LANES - 1u) / LANES;  // rows of a lane

${PUT_COLUMNS}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.y * ROWS;
  let unit = group.x * LANES + lane;
  var at = unit / 8u * (params.groups * 8u / QUADS * PANEL) + unit % 8u;
  let width = params.quads;
  let last = params.rows - 1u;
  var starts: array<u32, LOADS>;
  for (var i = 0u; i < LOADS; i++) { starts[i] = min(row + lane + i * LANES, last) * width; }
  var v: array<vec4f, LOADS>;
  var u: array<vec4f, LOADS>;
  var s: array<vec4f, ROWS>;
  for (var quad = 0u; quad < width; quad += QUADS) {
    let c = weights[at];
    let d = weights[at + 8u];
    let e = weights[at + 16u];
    let f = weights[at + 24u];
    at += PANEL;
    let low = lows(c, d, e, f);
    for (var i = 0u; i < LOADS; i++) { v[i] = x[starts[i] + quad]; }
    if (QUADS == 1u) {
    ${everyRow((r, i, l) => `s[${r}] = add(s[${r}], subgroupBroadcast(v[${i}], ${l}), low);`)}
      continue;
    }
    let high = highs(c, d, e, f);
    // A quad beyond the last is zero.
    let isQuad = quad + 1u < width;
    for (var i = 0u; i < LOADS; i++) { u[i] = select(vec4f(), x[starts[i] + select(quad, quad + 1u, isQuad)], isQuad); }
    ${everyRow((r, i, l) => `s[${r}] = add(add(s[${r}], subgroupBroadcast(v[${i}], ${l}), low), subgroupBroadcast(u[${i}], ${l}), high);`)}
  }
  // One call in a loop, since calls are inlined: compiling them takes longer than running them.
  for (var r = 0u; r < ROWS; r++) {
    put(s[r] * normScaleAt(min(row + r, last)), row + r, unit);
  }
}
`,
  { PANEL, LANES: 8, ROWS: 8 },
  ["enable subgroups;"],
);
