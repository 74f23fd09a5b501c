/**
 * WGSL that reads a packed block (binding 1) for the kernels of CPU adapters whose lanes own four columns, eight apart: `matvec…` and
 * `fewRows…`. The same text for one row and for several, in the same order, so that a row's sums do not depend on the rows beside it.
 */

/** WGSL `add(s, v, w)`, four elements of the inner dimension: `s + v·w` with w's columns as the elements, in one fixed order. */
const ADD = {
  // Not fma(): it is emulated where the instruction is missing, and compilers fuse this expression where it exists.
  chain:
    "fn add(s: vec4f, v: vec4f, w: mat4x4f) -> vec4f { return s + v.x * w[0] + v.y * w[1] + v.z * w[2] + v.w * w[3]; }",
  // A matrix-vector product, not four products with its columns, which take a fifth longer on SwiftShader.
  product: "fn add(s: vec4f, v: vec4f, w: mat4x4f) -> vec4f { return s + w * v; }",
};

/** Returns `add` for subgroups of as many lanes; undefined where there are none. */
function adding(lanes: number | undefined): string {
  return lanes === 8 ? ADD.chain : ADD.product;
}

const UNQUANTISED: Record<"f32" | "f16" | "bf16", string> = {
  f32: `
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;  // [panels, groups, 8, PANEL]
alias Piece = vec4f;
const QUADS = 1u;
fn lowOf(p: Piece) -> vec4f { return p; }
fn highOf(p: Piece) -> vec4f { return p; }`,
  f16: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, 4, PANEL]
alias Piece = vec4u;
const QUADS = 2u;
fn lowOf(p: Piece) -> vec4f { return vec4f(unpack2x16float(p.x), unpack2x16float(p.y)); }
fn highOf(p: Piece) -> vec4f { return vec4f(unpack2x16float(p.z), unpack2x16float(p.w)); }`,
  bf16: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, 4, PANEL]
alias Piece = vec4u;
const QUADS = 2u;
fn wide(a: u32, b: u32) -> vec4f { return bitcast<vec4f>(vec4u(a << 16u, a & 0xffff0000u, b << 16u, b & 0xffff0000u)); }
fn lowOf(p: Piece) -> vec4f { return wide(p.x, p.y); }
fn highOf(p: Piece) -> vec4f { return wide(p.z, p.w); }`,
};

/**
 * Header line for floats, 16 bytes at a time: a piece has QUADS quads of a column; `lows` and `highs` are the first and the second quads
 * of four columns, as matrices for `add`; `added(s, at, a, b)` adds the piece at `at` times its quads a and b of the row.
 */
export function floatPieces(type: "f32" | "f16" | "bf16", lanes: number | undefined): string {
  return `${UNQUANTISED[type]}
${adding(lanes)}
fn lows(a: Piece, b: Piece, c: Piece, d: Piece) -> mat4x4f { return transpose(mat4x4f(lowOf(a), lowOf(b), lowOf(c), lowOf(d))); }
fn highs(a: Piece, b: Piece, c: Piece, d: Piece) -> mat4x4f { return transpose(mat4x4f(highOf(a), highOf(b), highOf(c), highOf(d))); }
// Adds a piece of four columns times its quads of the row.
fn added(s: vec4f, at: u32, a: vec4f, b: vec4f) -> vec4f {
  let c = weights[at];
  let d = weights[at + 8u];
  let e = weights[at + 16u];
  let f = weights[at + 24u];
  let first = add(s, a, lows(c, d, e, f));
  if (QUADS == 1u) { return first; }
  return add(first, b, highs(c, d, e, f));
}`;
}

const QUANTISED: Record<"q8" | "q4", string> = {
  q8: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, WORDS]
const WORDS = GROUP / 4u * PANEL + PANEL / 8u;
fn pieceAt(group: u32, lane: u32, half: u32) -> vec4u { return weights[group * WORDS + half * PANEL + lane]; }
fn quadOf(p: vec4u, k: u32) -> vec4f {
  let w = p[k % 4u];
  return vec4f(vec4i(vec4u(w & 0xffu, w & 0xff00u, w & 0xff0000u, w >> 24u)));
}
fn totalOf(v: vec4f) -> f32 { return dot(v, vec4f(-128.0)); }
fn shifted(v: vec4f) -> vec4f { return v * vec4f(1.0, 0.00390625, 0.0000152587890625, 1.0); }
fn scaled(sums: vec4f, group: u32, lane: u32, total: f32) -> vec4f {
  let words = weights[group * WORDS + GROUP / 4u * PANEL + lane / 2u];
  let pair = select(words.xy, words.zw, lane % 2u == 1u);
  return (sums + total) * vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
}`,
  q4: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, WORDS]
const WORDS = PANEL + PANEL / 4u;
fn pieceAt(group: u32, lane: u32, half: u32) -> vec4u { return weights[group * WORDS + lane]; }
fn quadOf(p: vec4u, k: u32) -> vec4f {
  let w = p[k / 2u] >> (16u * (k % 2u));
  return vec4f(vec4i(vec4u(w) & vec4u(0xfu, 0xf0u, 0xf00u, 0xf000u)));
}
fn totalOf(v: vec4f) -> f32 { return dot(v, vec4f(1.0)); }
fn shifted(v: vec4f) -> vec4f { return v * vec4f(1.0, 0.0625, 0.00390625, 0.000244140625); }
fn scaled(sums: vec4f, group: u32, lane: u32, total: f32) -> vec4f {
  let words = weights[group * WORDS + PANEL + lane];
  let a = unpack2x16float(words.x);
  let b = unpack2x16float(words.y);
  let c = unpack2x16float(words.z);
  let d = unpack2x16float(words.w);
  return sums * vec4f(a.x, b.x, c.x, d.x) + total * vec4f(a.y, b.y, c.y, d.y);
}`,
};

/**
 * Header line for quantised weights, a group at a time: `quads(…pieces, k)` is quad k of four columns' groups, as a matrix for `add` over
 * `shifted` rows; its bits are masked but not shifted, and `shifted` premultiplies the row by the inverse powers of two.
 * `scaled(sums, group, lane, total)` applies the scales once per group, `total` being `totalOf` the group's elements of the row.
 */
export function quantizedPieces(type: "q8" | "q4", lanes: number | undefined): string {
  return `${QUANTISED[type]}
${adding(lanes)}
struct Pieces { a: vec4u, b: vec4u, c: vec4u, d: vec4u }
fn piecesAt(group: u32, lane: u32, half: u32) -> Pieces {
  return Pieces(
    pieceAt(group, lane, half), pieceAt(group, lane + 8u, half), pieceAt(group, lane + 16u, half), pieceAt(group, lane + 24u, half));
}
fn quads(p: Pieces, k: u32) -> mat4x4f {
  return transpose(mat4x4f(quadOf(p.a, k), quadOf(p.b, k), quadOf(p.c, k), quadOf(p.d, k)));
}
// The same order for one row and for several.
fn sumOf(a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f) -> f32 {
  return totalOf(((a + b) + (c + d)) + ((e + f) + (g + h)));
}
// Of one row: a group's products with four columns.
fn products(group: u32, lane: u32, total: f32, e0: vec4f, e1: vec4f, e2: vec4f, e3: vec4f, e4: vec4f, e5: vec4f, e6: vec4f, e7: vec4f) -> vec4f {
  // Several chains of additions: one would take longer than the additions.
  let p = piecesAt(group, lane, 0u);
  let low = add(add(vec4f(), e0, quads(p, 0u)), e1, quads(p, 1u)) + add(add(vec4f(), e2, quads(p, 2u)), e3, quads(p, 3u));
  let q = piecesAt(group, lane, 1u);
  let high = add(add(vec4f(), e4, quads(q, 4u)), e5, quads(q, 5u)) + add(add(vec4f(), e6, quads(q, 6u)), e7, quads(q, 7u));
  return scaled(low + high, group, lane, total);
}`;
}
