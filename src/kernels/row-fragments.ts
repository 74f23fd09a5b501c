import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { QUAD } from "./packed.js";

/** WGSL of the bits of f32 that f16 has too. */
export const UPPER_HALF =
  "fn upper(v: vec4f) -> vec4f { return bitcast<vec4f>(bitcast<vec4u>(v) & vec4u(0xffffe000u)); }";

export const rowFragmentsKernel = new Kernel(
  "rowFragments",
  `
struct Params { rows: u32, quads: u32, across: u32, count: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;                // [rows, quads]
@group(0) @binding(1) var<storage, read> scales: array<f32>;             // [rows]
@group(0) @binding(2) var<storage, read_write> fragments: array<vec2u>;  // [blocks of M rows, blocks of K, 2, M, K] f16
${UPPER_HALF}
fn halves(v: vec4f) -> vec2u { return vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (group.y * ACROSS + group.x) * LANES + lane;
  if (i >= params.count) { return; }
  let row = i / params.across;
  let quad = i % params.across;
  let source = min(row, params.rows - 1u);
  let e = x[source * params.quads + min(quad, params.quads - 1u)] * scales[source];
  let v = select(vec4f(), e, row < params.rows && quad < params.quads);
  let block = row / M * (4u * params.across / K) + 4u * quad / K;
  let at = (2u * block * M + row % M) * K + 4u * quad % K;
  let own = upper(v);
  fragments[at / 4u] = halves(own);
  fragments[(at + M * K) / 4u] = halves(v - own);
}
`,
  { LANES: 64, ACROSS: 32768, M: 16, K: 16 },
);

/**
 * Splits scaled rows into halves of f16, the upper bits and the remainder, in the order in which subgroup matrices of m rows and k columns are
 * loaded. x `[rows, quads · 4]` f32, scales `[rows]` f32; returns `[blocks of m rows, blocks of k, 2, m, k / 2]` u32 of two halves each. Rows
 * are filled with zeros to whole blocks, quads to a multiple of `depth`.
 */
export function rowFragments(
  x: Tensor,
  scales: Tensor,
  quads: number,
  { m, k, depth }: { m: number; k: number; depth: number },
): Tensor {
  const rows = x.length / (QUAD * quads);
  const across = Math.ceil(quads / depth) * depth;
  const blocks = Math.ceil(rows / m);
  const fragments = x.device.empty([blocks, (QUAD * across) / k, 2, m, k / 2], "u32", `${x.label} fragments`);
  const kernel = rowFragmentsKernel.variant({ M: m, K: k });
  const { LANES, ACROSS } = kernel.constants;
  const count = blocks * m * across;
  const workgroups = Math.ceil(count / LANES);
  const grid = [Math.min(workgroups, ACROSS), Math.ceil(workgroups / ACROSS)] as const;
  x.device.run(kernel, { x, scales, fragments }, { rows, quads, across, count }, grid);
  return fragments;
}
