import { Kernel } from "../runtime/kernel.js";

/**
 * Attention with the online softmax of FlashAttention-2 (arXiv 2307.08691) for CPU adapters with subgroups of 4 or 8 lanes; called by
 * `attention`, with the same parameters.
 *
 * A workgroup is one subgroup and computes ROWS rows (16, or 8 if there are no more): consecutive queries, each with the query heads
 * that share a key/value head (grouped-query attention), so that loaded keys and values are reused. Scores: a lane owns four keys,
 * LANES apart, and the rows are broadcast. Values: a lane owns a quad of the head in every block, and the probabilities of a lane's
 * four keys are broadcast; UNROLLED takes a tenth less time than a loop over the rows, and longer to compile. A mat4x4 holds four rows,
 * one per column. Sums are matrix-vector products rather than four products with its columns, which take a fifth longer on SwiftShader.
 */
export const attentionBroadcastKernel = new Kernel(
  "attentionBroadcast",
  `
struct Params {
  queries: u32, keys: u32, group: u32, causal: u32, firstPosition: u32,
  qStride: u32, qFirst: u32, kStride: u32, kFirst: u32, vStride: u32, vFirst: u32, yStride: u32, scale: f32
}
@group(0) @binding(0) var<storage, read> q: array<vec4f>;        // [batches * queries, qStride]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;  // [batches * queries, yStride]

const BLOCKS = (QUADS + LANES - 1u) / LANES;

fn add(s: vec4f, e: vec4f, w: mat4x4f) -> vec4f {
  return s + w * e;
}

fn weigh(m: mat4x4f, v: mat4x4f, p: mat4x4f) -> mat4x4f {
  return mat4x4f(m[0] + v * p[0], m[1] + v * p[1], m[2] + v * p[2], m[3] + v * p[3]);
}

fn from0(t: mat4x4f) -> mat4x4f { return mat4x4f(subgroupBroadcast(t[0], 0u), subgroupBroadcast(t[1], 0u), subgroupBroadcast(t[2], 0u), subgroupBroadcast(t[3], 0u)); }
fn from1(t: mat4x4f) -> mat4x4f { return mat4x4f(subgroupBroadcast(t[0], 1u), subgroupBroadcast(t[1], 1u), subgroupBroadcast(t[2], 1u), subgroupBroadcast(t[3], 1u)); }
fn from2(t: mat4x4f) -> mat4x4f { return mat4x4f(subgroupBroadcast(t[0], 2u), subgroupBroadcast(t[1], 2u), subgroupBroadcast(t[2], 2u), subgroupBroadcast(t[3], 2u)); }
fn from3(t: mat4x4f) -> mat4x4f { return mat4x4f(subgroupBroadcast(t[0], 3u), subgroupBroadcast(t[1], 3u), subgroupBroadcast(t[2], 3u), subgroupBroadcast(t[3], 3u)); }
fn from4(t: mat4x4f) -> mat4x4f { return mat4x4f(subgroupBroadcast(t[0], 4u), subgroupBroadcast(t[1], 4u), subgroupBroadcast(t[2], 4u), subgroupBroadcast(t[3], 4u)); }
fn from5(t: mat4x4f) -> mat4x4f { return mat4x4f(subgroupBroadcast(t[0], 5u), subgroupBroadcast(t[1], 5u), subgroupBroadcast(t[2], 5u), subgroupBroadcast(t[3], 5u)); }
fn from6(t: mat4x4f) -> mat4x4f { return mat4x4f(subgroupBroadcast(t[0], 6u), subgroupBroadcast(t[1], 6u), subgroupBroadcast(t[2], 6u), subgroupBroadcast(t[3], 6u)); }
fn from7(t: mat4x4f) -> mat4x4f { return mat4x4f(subgroupBroadcast(t[0], 7u), subgroupBroadcast(t[1], 7u), subgroupBroadcast(t[2], 7u), subgroupBroadcast(t[3], 7u)); }

fn scaled(m: mat4x4f, by: vec4f) -> mat4x4f {
  return mat4x4f(m[0] * by.x, m[1] * by.y, m[2] * by.z, m[3] * by.w);
}

// The values of the four keys of a lane.
fn valuesAt(last: u32, before: u32, own: u32, key: u32) -> mat4x4f {
  return mat4x4f(
    valueAt((min(key, last) + before) * params.vStride + own), valueAt((min(key + LANES, last) + before) * params.vStride + own),
    valueAt((min(key + 2u * LANES, last) + before) * params.vStride + own), valueAt((min(key + 3u * LANES, last) + before) * params.vStride + own));
}

// First element of a row of q or y; rows past the end repeat the last.
fn rowAt(row: u32, kvHead: u32, batch: u32, stride: u32) -> u32 {
  let r = min(row, params.queries * params.group - 1u);
  return (batch * params.queries + r / params.group) * stride + (kvHead * params.group + r % params.group) * QUADS;
}

// Causal mask for four rows: a row attends to the keys below this index.
fn keysSeen(row: u32, keys: u32, position: u32) -> vec4u {
  if (params.causal == 0u) { return vec4u(keys); }
  return min(vec4u(keys), vec4u(row, row + 1u, row + 2u, row + 3u) / params.group + position + 1u);
}

// One step of the online softmax for four rows: scores of the lane's four keys become probabilities; returns the decay.
fn soften(p: ptr<function, mat4x4f>, largest: ptr<function, vec4f>, sum: ptr<function, vec4f>, key: u32, seen: vec4u) -> vec4f {
  let s0 = select((*p)[0] * params.scale, vec4f(-1e30), vec4u(key) >= seen);
  let s1 = select((*p)[1] * params.scale, vec4f(-1e30), vec4u(key + LANES) >= seen);
  let s2 = select((*p)[2] * params.scale, vec4f(-1e30), vec4u(key + 2u * LANES) >= seen);
  let s3 = select((*p)[3] * params.scale, vec4f(-1e30), vec4u(key + 3u * LANES) >= seen);
  let m = max(*largest, subgroupMax(max(max(s0, s1), max(s2, s3))));
  let decay = exp(*largest - m);
  *largest = m;
  *p = mat4x4f(exp(s0 - m), exp(s1 - m), exp(s2 - m), exp(s3 - m));
  *sum = *sum * decay + ((*p)[0] + (*p)[1]) + ((*p)[2] + (*p)[3]);
  return decay;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row = group.x * ROWS;
  let kvHead = group.y;
  let qa = rowAt(row + lane, kvHead, group.z, params.qStride) + params.qFirst;
  let qb = rowAt(row + lane + LANES, kvHead, group.z, params.qStride) + params.qFirst;
  let qc = rowAt(row + lane + 2u * LANES, kvHead, group.z, params.qStride) + params.qFirst;
  let qd = rowAt(row + lane + 3u * LANES, kvHead, group.z, params.qStride) + params.qFirst;
  let kAt = params.kFirst + kvHead * QUADS;
  let vAt = params.vFirst + kvHead * QUADS;
  let keys = keysOf(group.z);
  let position = positionOf(group.z);
  let last = keys - 1u;
  var end = keys;
  if (params.causal == 1u) { end = min(end, position + (row + ROWS - 1u) / params.group + 1u); }
  let seenA = keysSeen(row, keys, position);
  let seenB = keysSeen(row + 4u, keys, position);
  let seenC = keysSeen(row + 8u, keys, position);
  let seenD = keysSeen(row + 12u, keys, position);
  var acc: array<mat4x4f, 4u * BLOCKS>;
  var ma = vec4f(-1e30); var mb = ma; var mc = ma; var md = ma;
  var la = vec4f(); var lb = la; var lc = la; var ld = la;
  for (var first = 0u; first < end; first += 4u * LANES) {
    let before = rowsBefore(group.z, first);
    let key = first + lane;
    let k0 = (min(key, last) + before) * params.kStride + kAt;
    let k1 = (min(key + LANES, last) + before) * params.kStride + kAt;
    let k2 = (min(key + 2u * LANES, last) + before) * params.kStride + kAt;
    let k3 = (min(key + 3u * LANES, last) + before) * params.kStride + kAt;
    var s0 = vec4f(); var s1 = s0; var s2 = s0; var s3 = s0;
    var s4 = s0; var s5 = s0; var s6 = s0; var s7 = s0;
    var s8 = s0; var s9 = s0; var s10 = s0; var s11 = s0;
    var s12 = s0; var s13 = s0; var s14 = s0; var s15 = s0;
    for (var c = 0u; c < QUADS; c++) {
      let w = transpose(mat4x4f(keyAt(k0 + c), keyAt(k1 + c), keyAt(k2 + c), keyAt(k3 + c)));
      let ea = q[qa + c];
      let eb = q[qb + c];
      if (LANES == 4u) {
        let ec = q[qc + c];
        let ed = q[qd + c];
        s0 = add(s0, subgroupBroadcast(ea, 0u), w);
        s1 = add(s1, subgroupBroadcast(ea, 1u), w);
        s2 = add(s2, subgroupBroadcast(ea, 2u), w);
        s3 = add(s3, subgroupBroadcast(ea, 3u), w);
        s4 = add(s4, subgroupBroadcast(eb, 0u), w);
        s5 = add(s5, subgroupBroadcast(eb, 1u), w);
        s6 = add(s6, subgroupBroadcast(eb, 2u), w);
        s7 = add(s7, subgroupBroadcast(eb, 3u), w);
        if (ROWS == 8u) { continue; }
        s8 = add(s8, subgroupBroadcast(ec, 0u), w);
        s9 = add(s9, subgroupBroadcast(ec, 1u), w);
        s10 = add(s10, subgroupBroadcast(ec, 2u), w);
        s11 = add(s11, subgroupBroadcast(ec, 3u), w);
        s12 = add(s12, subgroupBroadcast(ed, 0u), w);
        s13 = add(s13, subgroupBroadcast(ed, 1u), w);
        s14 = add(s14, subgroupBroadcast(ed, 2u), w);
        s15 = add(s15, subgroupBroadcast(ed, 3u), w);
      } else {
        s0 = add(s0, subgroupBroadcast(ea, 0u), w);
        s1 = add(s1, subgroupBroadcast(ea, 1u), w);
        s2 = add(s2, subgroupBroadcast(ea, 2u), w);
        s3 = add(s3, subgroupBroadcast(ea, 3u), w);
        s4 = add(s4, subgroupBroadcast(ea, 4u), w);
        s5 = add(s5, subgroupBroadcast(ea, 5u), w);
        s6 = add(s6, subgroupBroadcast(ea, 6u), w);
        s7 = add(s7, subgroupBroadcast(ea, 7u), w);
        if (ROWS == 8u) { continue; }
        s8 = add(s8, subgroupBroadcast(eb, 0u), w);
        s9 = add(s9, subgroupBroadcast(eb, 1u), w);
        s10 = add(s10, subgroupBroadcast(eb, 2u), w);
        s11 = add(s11, subgroupBroadcast(eb, 3u), w);
        s12 = add(s12, subgroupBroadcast(eb, 4u), w);
        s13 = add(s13, subgroupBroadcast(eb, 5u), w);
        s14 = add(s14, subgroupBroadcast(eb, 6u), w);
        s15 = add(s15, subgroupBroadcast(eb, 7u), w);
      }
    }
    var pa = transpose(mat4x4f(s0, s1, s2, s3));
    var pb = transpose(mat4x4f(s4, s5, s6, s7));
    var pc = transpose(mat4x4f(s8, s9, s10, s11));
    var pd = transpose(mat4x4f(s12, s13, s14, s15));
    let da = soften(&pa, &ma, &la, key, seenA);
    let db = soften(&pb, &mb, &lb, key, seenB);
    var dc = vec4f(); var dd = dc;
    if (ROWS == 16u) {
      dc = soften(&pc, &mc, &lc, key, seenC);
      dd = soften(&pd, &md, &ld, key, seenD);
    }
    let ta = transpose(pa);
    let tb = transpose(pb);
    let tc = transpose(pc);
    let td = transpose(pd);
    if (UNROLLED == 1u) {
      for (var block = 0u; block < BLOCKS; block++) {
        let own = vAt + min(block * LANES + lane, QUADS - 1u);
        var a = scaled(acc[4u * block], da);
        var b = scaled(acc[4u * block + 1u], db);
        var c = scaled(acc[4u * block + 2u], dc);
        var d = scaled(acc[4u * block + 3u], dd);
        { let v = valuesAt(last, before, own, first + 0u); a = weigh(a, v, from0(ta)); b = weigh(b, v, from0(tb)); if (ROWS == 16u) { c = weigh(c, v, from0(tc)); d = weigh(d, v, from0(td)); } }
        { let v = valuesAt(last, before, own, first + 1u); a = weigh(a, v, from1(ta)); b = weigh(b, v, from1(tb)); if (ROWS == 16u) { c = weigh(c, v, from1(tc)); d = weigh(d, v, from1(td)); } }
        { let v = valuesAt(last, before, own, first + 2u); a = weigh(a, v, from2(ta)); b = weigh(b, v, from2(tb)); if (ROWS == 16u) { c = weigh(c, v, from2(tc)); d = weigh(d, v, from2(td)); } }
        { let v = valuesAt(last, before, own, first + 3u); a = weigh(a, v, from3(ta)); b = weigh(b, v, from3(tb)); if (ROWS == 16u) { c = weigh(c, v, from3(tc)); d = weigh(d, v, from3(td)); } }
        if (LANES == 8u) {
          { let v = valuesAt(last, before, own, first + 4u); a = weigh(a, v, from4(ta)); b = weigh(b, v, from4(tb)); if (ROWS == 16u) { c = weigh(c, v, from4(tc)); d = weigh(d, v, from4(td)); } }
          { let v = valuesAt(last, before, own, first + 5u); a = weigh(a, v, from5(ta)); b = weigh(b, v, from5(tb)); if (ROWS == 16u) { c = weigh(c, v, from5(tc)); d = weigh(d, v, from5(td)); } }
          { let v = valuesAt(last, before, own, first + 6u); a = weigh(a, v, from6(ta)); b = weigh(b, v, from6(tb)); if (ROWS == 16u) { c = weigh(c, v, from6(tc)); d = weigh(d, v, from6(td)); } }
          { let v = valuesAt(last, before, own, first + 7u); a = weigh(a, v, from7(ta)); b = weigh(b, v, from7(tb)); if (ROWS == 16u) { c = weigh(c, v, from7(tc)); d = weigh(d, v, from7(td)); } }
        }
        acc[4u * block] = a;
        acc[4u * block + 1u] = b;
        acc[4u * block + 2u] = c;
        acc[4u * block + 3u] = d;
      }
    } else {
      let p = array<mat4x4f, 4>(ta, tb, tc, td);
      let decay = array<vec4f, 4>(da, db, dc, dd);
      for (var block = 0u; block < BLOCKS; block++) {
        let own = vAt + min(block * LANES + lane, QUADS - 1u);
        let v0 = valuesAt(last, before, own, first);
        let v1 = valuesAt(last, before, own, first + 1u);
        let v2 = valuesAt(last, before, own, first + 2u);
        let v3 = valuesAt(last, before, own, first + 3u);
        var v4 = v0; var v5 = v0; var v6 = v0; var v7 = v0;
        if (LANES == 8u) {
          v4 = valuesAt(last, before, own, first + 4u);
          v5 = valuesAt(last, before, own, first + 5u);
          v6 = valuesAt(last, before, own, first + 6u);
          v7 = valuesAt(last, before, own, first + 7u);
        }
        for (var four = 0u; four < ROWS / 4u; four++) {
          let t = p[four];
          var a = scaled(acc[4u * block + four], decay[four]);
          a = weigh(a, v0, from0(t));
          a = weigh(a, v1, from1(t));
          a = weigh(a, v2, from2(t));
          a = weigh(a, v3, from3(t));
          if (LANES == 8u) {
            a = weigh(a, v4, from4(t));
            a = weigh(a, v5, from5(t));
            a = weigh(a, v6, from6(t));
            a = weigh(a, v7, from7(t));
          }
          acc[4u * block + four] = a;
        }
      }
    }
  }
  var whole = array<vec4f, 4>(subgroupAdd(la), subgroupAdd(lb), subgroupAdd(lc), subgroupAdd(ld));
  for (var block = 0u; block < BLOCKS; block++) {
    let quad = block * LANES + lane;
    for (var r = 0u; r < ROWS; r++) {
      if (quad < QUADS && row + r < params.queries * params.group) {
        y[rowAt(row + r, kvHead, group.z, params.yStride) + quad] = acc[4u * block + r / 4u][r % 4u] / whole[r / 4u][r % 4u];
      }
    }
  }
}
`,
  { ROWS: 16, LANES: 8, QUADS: 16, UNROLLED: 0 },
  ["enable subgroups;"],
);
