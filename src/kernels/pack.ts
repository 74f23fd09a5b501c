import type { Device } from "../runtime/device.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { GROUP, PANEL, PackedMatrix, type WeightType } from "./packed.js";

/** Element types of a checkpoint's matrices. */
export type SourceType = "f32" | "f16" | "bf16";

const READ: Record<SourceType, string> = {
  f32: "fn element(i: u32) -> f32 { return bitcast<f32>(source[i]); }",
  f16: "fn element(i: u32) -> f32 { return unpack2x16float(source[i / 2u])[i % 2u]; }",
  bf16: "fn element(i: u32) -> f32 { return bitcast<f32>(select(source[i / 2u] << 16u, source[i / 2u] & 0xffff0000u, i % 2u == 1u)); }",
};

const WRITE: Record<WeightType, string> = {
  f32: `
@group(0) @binding(1) var<storage, read_write> packed: array<vec4f>;
fn store(group: u32, lane: u32, e: array<vec4f, GROUP>) {
  for (var j = 0u; j < GROUP; j++) { packed[(group * GROUP + j) * PANEL + lane] = e[j]; }
}`,
  f16: `
@group(0) @binding(1) var<storage, read_write> packed: array<vec2u>;
fn store(group: u32, lane: u32, e: array<vec4f, GROUP>) {
  for (var j = 0u; j < GROUP; j++) {
    packed[((group * GROUP + j - j % 2u) * PANEL / 2u + lane) * 2u + j % 2u] = vec2u(pack2x16float(e[j].xy), pack2x16float(e[j].zw));
  }
}`,
  bf16: `
@group(0) @binding(1) var<storage, read_write> packed: array<vec2u>;
fn store(group: u32, lane: u32, e: array<vec4f, GROUP>) {
  for (var j = 0u; j < GROUP; j++) {
    let bits = bitcast<vec4u>(e[j]);
    let r = (bits + 0x7fffu + ((bits >> vec4u(16u)) & vec4u(1u))) >> vec4u(16u);  // to nearest, ties to even
    packed[((group * GROUP + j - j % 2u) * PANEL / 2u + lane) * 2u + j % 2u] = vec2u(r.x | (r.y << 16u), r.z | (r.w << 16u));
  }
}`,
  // The scale is rounded to f16 first, so that the levels are those that will be read back. Two lanes share a word of scales.
  q8: `
@group(0) @binding(1) var<storage, read_write> packed: array<atomic<u32>>;
const WORDS = GROUP * PANEL + PANEL / 2u;
fn store(group: u32, lane: u32, e: array<vec4f, GROUP>) {
  var most = vec4f();
  for (var j = 0u; j < GROUP; j++) { most = max(most, abs(e[j])); }
  let half = pack2x16float(vec2f(max(max(most.x, most.y), max(most.z, most.w)) / 127.0, 0.0));
  let scale = max(unpack2x16float(half).x, 1e-30);
  for (var j = 0u; j < GROUP; j++) {
    let q = vec4u(clamp(vec4i(round(e[j] / scale)), vec4i(-127), vec4i(127)) + 128);
    atomicStore(&packed[group * WORDS + (j / 4u * PANEL + lane) * 4u + j % 4u], q.x | (q.y << 8u) | (q.z << 16u) | (q.w << 24u));
  }
  let at = group * WORDS + GROUP * PANEL + lane % 8u * 2u + lane / 16u;
  let upper = lane / 8u % 2u == 1u;
  atomicAnd(&packed[at], select(0xffff0000u, 0x0000ffffu, upper));
  atomicOr(&packed[at], half << select(0u, 16u, upper));
}`,
  q4: `
@group(0) @binding(1) var<storage, read_write> packed: array<u32>;
const WORDS = (GROUP / 2u + 1u) * PANEL;
fn store(group: u32, lane: u32, e: array<vec4f, GROUP>) {
  var low = e[0];
  var high = e[0];
  for (var j = 1u; j < GROUP; j++) { low = min(low, e[j]); high = max(high, e[j]); }
  let least = min(min(low.x, low.y), min(low.z, low.w));
  let most = max(max(high.x, high.y), max(high.z, high.w));
  let halves = pack2x16float(vec2f((most - least) / 15.0, least));
  let scale = unpack2x16float(halves);
  for (var j = 0u; j < GROUP; j += 2u) {
    let a = vec4u(clamp(round((e[j] - scale.y) / max(scale.x, 1e-30)), vec4f(0.0), vec4f(15.0)));
    let b = vec4u(clamp(round((e[j + 1u] - scale.y) / max(scale.x, 1e-30)), vec4f(0.0), vec4f(15.0)));
    packed[group * WORDS + lane * 4u + j / 2u] =
      a.x | (a.y << 4u) | (a.z << 8u) | (a.w << 12u) | (b.x << 16u) | (b.y << 20u) | (b.z << 24u) | (b.w << 28u);
  }
  packed[group * WORDS + GROUP / 2u * PANEL + lane % 8u * 4u + lane / 8u] = halves;
}`,
};

export const packKernel = new Kernel(
  "pack",
  `
struct Params { rows: u32, inner: u32, groups: u32, firstRow: u32, firstColumn: u32, blockColumn: u32, turns: u32 }
@group(0) @binding(0) var<storage, read> source: array<u32>;  // [rows, inner] as stored

// One lane a group of 32 elements of a row.
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let group = id.y;
  if (row >= params.rows) { return; }
  var e: array<vec4f, GROUP>;
  for (var i = 0u; i < 4u * GROUP; i++) {
    let k = group * 4u * GROUP + i;
    if (k < params.inner) { e[i / 4u][i % 4u] = element((params.firstRow + row) * params.inner + k); }
  }
  var column = params.firstColumn + row;
  // One of two matrices in turns of eight columns, 1 the first and 2 the second.
  if (params.turns > 0u) { column = column / 8u * 16u + column % 8u + 8u * (params.turns - 1u); }
  column -= params.blockColumn;
  store(column / PANEL * params.groups + group, column % PANEL, e);
}
`,
  { LANES: 64, PANEL, GROUP },
);

/**
 * Writes rows of a stored matrix into their place in a packed one: `packed[:, firstColumn + r] = source[r, :]`.
 * `source` holds `[rows, inner]` of `type` as `u32` words. Quantises a group at a time where the matrix is quantised:
 * With `turn` two matrices share the packed one in turns of eight columns: row r of the first (0) becomes column
 * `16·⌊r/8⌋ + r mod 8`, of the second (1) 8 more; `firstColumn` is then the first row.
 * q8 to 255 levels about zero, q4 to 16 levels between the least and the largest element, scales rounded to f16.
 */
export function pack(
  source: Tensor,
  type: SourceType,
  rows: number,
  matrix: PackedMatrix,
  firstColumn: number,
  turn?: 0 | 1,
): void {
  const { LANES } = packKernel.constants;
  const kernel = packKernel.variant({}, READ[type], WRITE[matrix.type]);
  for (const block of matrix.blocks) {
    // The part of the rows that falls into this block; in turns, a block of n columns has n / 2 rows of each matrix.
    const share = turn === undefined ? 1 : 2;
    const from = Math.max(firstColumn, block.firstColumn / share);
    const to = Math.min(firstColumn + rows, (block.firstColumn + block.columns) / share);
    if (from >= to) continue;
    source.device.run(
      kernel,
      { source, packed: block.tensor },
      {
        rows: to - from,
        inner: matrix.inner,
        groups: matrix.groups,
        firstRow: from - firstColumn,
        firstColumn: from,
        blockColumn: block.firstColumn,
        turns: turn === undefined ? 0 : 1 + turn,
      },
      [Math.ceil((to - from) / LANES), matrix.groups],
    );
  }
}

/** Packs a host matrix `[columns, inner]` of f32 as `type`; it belongs to the current owner of memory. */
export function packMatrix(
  device: Device,
  data: Float32Array,
  shape: readonly [columns: number, inner: number],
  label: string,
  type: WeightType = "f32",
): PackedMatrix {
  const [columns, inner] = shape;
  const matrix = PackedMatrix.allocate(device, columns, inner, type, label);
  device.scope(() => {
    const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
    pack(device.upload(words, [columns, inner], label), "f32", columns, matrix, 0);
  });
  return matrix;
}
