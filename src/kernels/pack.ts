import type { Device } from "../runtime/device.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { GROUP, PANEL, PackedMatrix, type QuantizedType, type WeightType } from "./packed.js";

/** How a checkpoint's matrices are stored; the quantised ones as `io/checkpoint/quantized.ts` describes. */
export type SourceType = WeightType;

const READ: Record<SourceType, string> = {
  f32: "fn element(row: u32, k: u32) -> f32 { return bitcast<f32>(source[row * params.inner + k]); }",
  f16: `
fn element(row: u32, k: u32) -> f32 {
  let i = row * params.inner + k;
  return unpack2x16float(source[i / 2u])[i % 2u];
}`,
  bf16: `
fn element(row: u32, k: u32) -> f32 {
  let i = row * params.inner + k;
  return bitcast<f32>(select(source[i / 2u] << 16u, source[i / 2u] & 0xffff0000u, i % 2u == 1u));
}`,
  q8: `
fn wordAt(row: u32, group: u32, j: u32) -> u32 { return source[row * (params.groups * GROUP + (params.groups + 1u) / 2u) + group * GROUP + j]; }
fn scaleAt(row: u32, group: u32) -> u32 {
  let pair = source[row * (params.groups * GROUP + (params.groups + 1u) / 2u) + params.groups * GROUP + group / 2u];
  return (pair >> (16u * (group % 2u))) & 0xffffu;
}
fn element(row: u32, k: u32) -> f32 {
  let group = k / (4u * GROUP);
  let byte = (wordAt(row, group, k / 4u % GROUP) >> (8u * (k % 4u))) & 255u;
  return (f32(byte) - 128.0) * unpack2x16float(scaleAt(row, group)).x;
}`,
  q4: `
fn wordAt(row: u32, group: u32, j: u32) -> u32 { return source[(row * params.groups + group) * (GROUP / 2u + 1u) + j]; }
fn scaleAt(row: u32, group: u32) -> u32 { return wordAt(row, group, GROUP / 2u); }
fn element(row: u32, k: u32) -> f32 {
  let group = k / (4u * GROUP);
  let nibble = (wordAt(row, group, k / 8u % (GROUP / 2u)) >> (4u * (k % 8u))) & 15u;
  let scale = unpack2x16float(scaleAt(row, group));
  return f32(nibble) * scale.x + scale.y;
}`,
};

/**
 * Address of a group's words: in a packed matrix `at` is the group's index and `lane` its column; in row-major form lane is
 * unused.
 */
const PLACE = {
  packed: {
    q8: `
const WORDS = GROUP * PANEL + PANEL / 2u;
fn put(at: u32, lane: u32, j: u32, word: u32) { atomicStore(&packed[at * WORDS + (j / 4u * PANEL + lane) * 4u + j % 4u], word); }
fn putScale(at: u32, lane: u32, half: u32) {
  putHalf(at * WORDS + GROUP * PANEL + lane % 8u * 2u + lane / 16u, lane / 8u % 2u == 1u, half);
}`,
    q4: `
const WORDS = (GROUP / 2u + 1u) * PANEL;
fn put(at: u32, lane: u32, j: u32, word: u32) { packed[at * WORDS + lane * 4u + j] = word; }
fn putScale(at: u32, lane: u32, halves: u32) { packed[at * WORDS + GROUP / 2u * PANEL + lane % 8u * 4u + lane / 8u] = halves; }`,
  },
  rows: {
    q8: `
fn start(at: u32) -> u32 { return at / params.groups * (params.groups * GROUP + (params.groups + 1u) / 2u); }
fn put(at: u32, lane: u32, j: u32, word: u32) { atomicStore(&packed[start(at) + at % params.groups * GROUP + j], word); }
fn putScale(at: u32, lane: u32, half: u32) {
  let group = at % params.groups;
  // The last word of a row may hold one scale only; the other half is zeroed.
  if (group + 1u == params.groups && group % 2u == 0u) { atomicStore(&packed[start(at) + params.groups * GROUP + group / 2u], half); return; }
  putHalf(start(at) + params.groups * GROUP + group / 2u, group % 2u == 1u, half);
}`,
    q4: `
fn put(at: u32, lane: u32, j: u32, word: u32) { packed[at * (GROUP / 2u + 1u) + j] = word; }
fn putScale(at: u32, lane: u32, halves: u32) { packed[at * (GROUP / 2u + 1u) + GROUP / 2u] = halves; }`,
  },
} as const;

/**
 * Conversion to f16, round to nearest even. `pack2x16float` leaves the rounding to the adapter; packed weights are bit-identical
 * on all.
 */
const HALVES = `
fn halves(x: vec4f) -> vec4u {
  let bits = bitcast<vec4u>(x);
  let size = bits & vec4u(0x7fffffffu);
  let normal = (size - 0x38000000u + 0xfffu + ((size >> vec4u(13u)) & vec4u(1u))) >> vec4u(13u);
  let small = bitcast<vec4u>(bitcast<vec4f>(size) + 0.5) - 0x3f000000u;  // the sum is rounded to steps of 2^-24
  let half = select(min(normal, vec4u(0x7c00u)), small, size < vec4u(0x38800000u));
  return half | ((bits >> vec4u(16u)) & vec4u(0x8000u));
}`;

const FLOATS: Record<Exclude<WeightType, QuantizedType>, string> = {
  f32: `
@group(0) @binding(1) var<storage, read_write> packed: array<vec4f>;
fn store(row: u32, group: u32, at: u32, lane: u32, e: array<vec4f, GROUP>) {
  for (var j = 0u; j < GROUP; j++) { packed[(at * GROUP + j) * PANEL + lane] = e[j]; }
}`,
  f16: `
@group(0) @binding(1) var<storage, read_write> packed: array<vec2u>;
fn store(row: u32, group: u32, at: u32, lane: u32, e: array<vec4f, GROUP>) {
  for (var j = 0u; j < GROUP; j++) {
    let h = halves(e[j]);
    packed[((at * GROUP + j - j % 2u) * PANEL / 2u + lane) * 2u + j % 2u] = vec2u(h.x | (h.y << 16u), h.z | (h.w << 16u));
  }
}`,
  bf16: `
@group(0) @binding(1) var<storage, read_write> packed: array<vec2u>;
fn store(row: u32, group: u32, at: u32, lane: u32, e: array<vec4f, GROUP>) {
  for (var j = 0u; j < GROUP; j++) {
    let bits = bitcast<vec4u>(e[j]);
    let r = (bits + 0x7fffu + ((bits >> vec4u(16u)) & vec4u(1u))) >> vec4u(16u);  // to nearest, ties to even
    packed[((at * GROUP + j - j % 2u) * PANEL / 2u + lane) * 2u + j % 2u] = vec2u(r.x | (r.y << 16u), r.z | (r.w << 16u));
  }
}`,
};

/** Two scales share a word. */
const BYTES = `
@group(0) @binding(1) var<storage, read_write> packed: array<atomic<u32>>;
fn putHalf(at: u32, upper: bool, half: u32) {
  atomicAnd(&packed[at], select(0xffff0000u, 0x0000ffffu, upper));
  atomicOr(&packed[at], half << select(0u, 16u, upper));
}`;
const NIBBLES = `
@group(0) @binding(1) var<storage, read_write> packed: array<u32>;`;

/**
 * Quantisation level nearest to x, ties down, clamped. Division is inexact and differs between adapters; the remainder after n steps
 * is exact (n has 7 bits and a step 11) and corrects n.
 */
const NEAREST = `
fn nearest(x: vec4f, step: f32, inverse: f32, least: f32, most: f32) -> vec4f {
  let n = clamp(round(x * inverse), vec4f(least), vec4f(most));
  let rest = x - n * step;
  let up = select(vec4f(), vec4f(1.0), rest > vec4f(0.5 * step));
  let down = select(vec4f(), vec4f(1.0), rest <= vec4f(-0.5 * step));
  return clamp(n + up - down, vec4f(least), vec4f(most));
}
const LEAST_STEP = 0x1p-100;  // for groups whose elements are all (nearly) equal`;

/** Scales are rounded to f16 first, so that elements are quantised to the levels that are read back. */
const QUANTIZE: Record<QuantizedType, string> = {
  q8: `
fn store(row: u32, group: u32, at: u32, lane: u32, e: array<vec4f, GROUP>) {
  var most = vec4f();
  for (var j = 0u; j < GROUP; j++) { most = max(most, abs(e[j])); }
  let half = halves(vec4f(max(max(most.x, most.y), max(most.z, most.w)) * (1.0 / 127.0), vec3f())).x;
  let step = max(unpack2x16float(half).x, LEAST_STEP);
  let inverse = 1.0 / step;
  for (var j = 0u; j < GROUP; j++) {
    let q = vec4u(vec4i(nearest(e[j], step, inverse, -127.0, 127.0)) + 128);
    put(at, lane, j, q.x | (q.y << 8u) | (q.z << 16u) | (q.w << 24u));
  }
  putScale(at, lane, half);
}`,
  q4: `
fn store(row: u32, group: u32, at: u32, lane: u32, e: array<vec4f, GROUP>) {
  var low = e[0];
  var high = e[0];
  for (var j = 1u; j < GROUP; j++) { low = min(low, e[j]); high = max(high, e[j]); }
  let least = min(min(low.x, low.y), min(low.z, low.w));
  let most = max(max(high.x, high.y), max(high.z, high.w));
  let h = halves(vec4f((most - least) * (1.0 / 15.0), least, 0.0, 0.0));
  let both = h.x | select(h.y << 16u, 0u, h.y == 0x8000u);  // min(-0, +0) is implementation-defined
  let scale = unpack2x16float(both);
  let step = max(scale.x, LEAST_STEP);
  let inverse = 1.0 / step;
  for (var j = 0u; j < GROUP; j += 2u) {
    let a = vec4u(nearest(e[j] - scale.y, step, inverse, 0.0, 15.0));
    let b = vec4u(nearest(e[j + 1u] - scale.y, step, inverse, 0.0, 15.0));
    put(at, lane, j / 2u,
      a.x | (a.y << 4u) | (a.z << 8u) | (a.w << 12u) | (b.x << 16u) | (b.y << 20u) | (b.z << 24u) | (b.w << 28u));
  }
  putScale(at, lane, both);
}`,
};

/** Copies an already quantised group. */
const REARRANGE: Record<QuantizedType, string> = {
  q8: `
fn store(row: u32, group: u32, at: u32, lane: u32, e: array<vec4f, GROUP>) {
  for (var j = 0u; j < GROUP; j++) { put(at, lane, j, wordAt(row, group, j)); }
  putScale(at, lane, scaleAt(row, group));
}`,
  q4: `
fn store(row: u32, group: u32, at: u32, lane: u32, e: array<vec4f, GROUP>) {
  for (var j = 0u; j < GROUP / 2u; j++) { put(at, lane, j, wordAt(row, group, j)); }
  putScale(at, lane, scaleAt(row, group));
}`,
};

/** Header lines that read groups of one type and write them as another. */
function headerOf(from: SourceType, to: WeightType, place: keyof typeof PLACE): string[] {
  if (to === "f16") return [READ[from], HALVES, FLOATS.f16];
  if (to !== "q8" && to !== "q4") return [READ[from], FLOATS[to]];
  const buffer = to === "q8" ? BYTES : NIBBLES;
  const store = from === to ? [REARRANGE[to]] : [HALVES, NEAREST, QUANTIZE[to]];
  return [READ[from], buffer, PLACE[place][to], ...store];
}

export const packKernel = new Kernel(
  "pack",
  `
struct Params { rows: u32, inner: u32, groups: u32, firstRow: u32, firstColumn: u32, blockColumn: u32, interleaved: u32, rowMajor: u32 }
@group(0) @binding(0) var<storage, read> source: array<u32>;  // [rows, inner] as stored

// One lane per group of 32 elements of a row.
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let group = id.y;
  if (row >= params.rows) { return; }
  var e: array<vec4f, GROUP>;
  for (var i = 0u; i < 4u * GROUP; i++) {
    let k = group * 4u * GROUP + i;
    if (k < params.inner) { e[i / 4u][i % 4u] = element(params.firstRow + row, k); }
  }
  var column = params.firstColumn + row;
  // One of two matrices that are interleaved in blocks of 8 columns: 1 is the first, 2 the second.
  if (params.interleaved > 0u) { column = column / 8u * 16u + column % 8u + 8u * (params.interleaved - 1u); }
  column -= params.blockColumn;
  let at = select(column / PANEL, column, params.rowMajor == 1u) * params.groups + group;
  store(params.firstRow + row, group, at, column % PANEL, e);
}
`,
  { LANES: 64, PANEL, GROUP },
);

/**
 * Packs rows of a stored matrix: `packed[:, firstColumn + r] = source[r, :]`. `source` is `[rows, inner]` of `type` as `u32` words.
 * Where the packed type is quantised and the source is of another type, each group of 32 elements is quantised by rounding
 * to nearest: q8 symmetrically to 255 levels, q4 to 16 levels between the minimum and the maximum, both with scales rounded to f16.
 * With `interleave` the packed matrix contains two matrices, interleaved in blocks of 8 columns: row r of the first (0) becomes column
 * `16·⌊r/8⌋ + r mod 8`, of the second (1) 8 more; `firstColumn` is then the first row.
 */
export function pack(
  source: Tensor,
  type: SourceType,
  rows: number,
  matrix: PackedMatrix,
  firstColumn: number,
  interleave?: 0 | 1,
): void {
  const { LANES } = packKernel.constants;
  const kernel = packKernel.variant({}, ...headerOf(type, matrix.type, "packed"));
  for (const block of matrix.blocks) {
    // The rows that belong to this block; a block of n interleaved columns has n / 2 rows of each matrix.
    const matrices = interleave === undefined ? 1 : 2;
    const from = Math.max(firstColumn, block.firstColumn / matrices);
    const to = Math.min(firstColumn + rows, (block.firstColumn + block.columns) / matrices);
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
        interleaved: interleave === undefined ? 0 : 1 + interleave,
        rowMajor: 0,
      },
      [Math.ceil((to - from) / LANES), matrix.groups],
      { bytes: source.sizeBytes + ((to - from) / block.columns) * block.tensor.sizeBytes },
    );
  }
}

/**
 * Quantises rows `[rows, inner]` of a stored matrix as `pack` does, but row-major, in the format of `io/checkpoint/quantized.ts`. Returns `u32`
 * words.
 */
export function quantizeRows(source: Tensor, type: SourceType, rows: number, inner: number, to: QuantizedType): Tensor {
  const { device } = source;
  const groups = Math.ceil(inner / (4 * GROUP));
  const words = to === "q4" ? groups * (GROUP / 2 + 1) : groups * GROUP + Math.ceil(groups / 2);
  const packed = device.empty([rows, words], "u32", `${source.label} as ${to}`);
  device.run(
    packKernel.variant({}, ...headerOf(type, to, "rows")),
    { source, packed },
    { rows, inner, groups, firstRow: 0, firstColumn: 0, blockColumn: 0, interleaved: 0, rowMajor: 1 },
    [Math.ceil(rows / packKernel.constants.LANES), groups],
  );
  return packed;
}

/** Packs a host matrix `[columns, inner]` of f32 as `type`, allocated by the current arena. */
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
