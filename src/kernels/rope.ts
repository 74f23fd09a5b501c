import { ShapeError } from "../base/errors.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { type BlockTable, WRITTEN_TO } from "./kv-blocks.js";
import { cacheTypeOf, SPAN, STORE_KEYS, STORE_VALUES } from "./kv-format.js";

export const ropeKernel = new Kernel(
  "rope",
  `
struct Params { queryQuads: u32, keyQuads: u32, half: u32, first: u32, stride: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;        // [rows, queryQuads + 2 * keyQuads]
@group(0) @binding(1) var<storage, read> cosines: array<vec4f>;  // [positions, half]
@group(0) @binding(2) var<storage, read> sines: array<vec4f>;    // [positions, half]
@group(0) @binding(3) var<storage, read_write> q: array<vec4f>;  // [rows, queryQuads]

fn rotated(row: u32, quad: u32) -> vec4f {
  let at = row * (params.queryQuads + 2u * params.keyQuads) + quad;
  let c = quad % (2u * params.half);
  let angle = positionOf(row) * params.half + c % params.half;
  let scaled = x[at] * cosines[angle];
  if (c < params.half) { return scaled - x[at + params.half] * sines[angle]; }
  return scaled + x[at - params.half] * sines[angle];
}

// One lane per SPAN quads of the queries, the keys or the values.
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y;
  var quad = id.x * SPAN;
  let queries = (params.queryQuads + SPAN - 1u) / SPAN * SPAN;
  if (quad < queries) {
    for (var i = 0u; i < SPAN; i++) {
      if (quad + i < params.queryQuads) { q[row * params.queryQuads + quad + i] = rotated(row, quad + i); }
    }
    return;
  }
  quad -= queries;
  let isValue = quad >= params.stride;
  if (isValue) { quad -= params.stride; }
  if (quad >= params.stride) { return; }
  var quads: array<vec4f, SPAN>;
  for (var i = 0u; i < SPAN; i++) {
    if (quad + i >= params.keyQuads) { continue; }
    let source = params.queryQuads + quad + i;
    if (isValue) { quads[i] = x[row * (params.queryQuads + 2u * params.keyQuads) + params.keyQuads + source]; }
    else { quads[i] = rotated(row, source); }
  }
  let at = writtenTo(row) * params.stride + quad;
  if (isValue) { storeValues(at, quads); } else { storeKeys(at, quads); }
}
`,
  { LANES: 64, SPAN: 1 },
);

/**
 * Rotary position embedding (RoPE, arXiv 2104.09864) in the half-split convention of GPT-NeoX, fused with the KV-cache write.
 * x `[T, (H + 2K)·C]` is queries, keys and values side by side, tables `[positions, C/2]`; row i has position `first + i`; C is a
 * multiple of 8. Returns the rotated queries `[T, H·C]` f32. Writes in place: rows `first` to `first + T` of keys (rotated) and
 * values, `[capacity, K·C or padded]`, as f32, f16 or q8, or the rows that `table` has for them; of several sequences, row i is the next of
 * sequence i. `keyWidth` is K·C. Throws ShapeError for other head sizes.
 */
export function rope(
  x: Tensor,
  cosines: Tensor,
  sines: Tensor,
  keys: Tensor,
  values: Tensor,
  first: number,
  keyWidth = keys.size(1),
  table?: BlockTable,
): Tensor {
  const [rows, width] = [x.size(0), x.size(1)];
  const half = cosines.size(1);
  const queryWidth = width - 2 * keyWidth;
  if (half % 4 !== 0 || queryWidth % (2 * half) !== 0 || keyWidth % (2 * half) !== 0) {
    throw new ShapeError({
      where: `rope, tensor ${x.label}`,
      expected: "heads of a multiple of 8 columns",
      got: `heads of ${2 * half}, ${queryWidth} columns of queries and ${keyWidth} of keys`,
      remedy: "check the configuration",
    });
  }
  const type = cacheTypeOf(keys, "rope");
  const header = [STORE_KEYS[type], STORE_VALUES[type], WRITTEN_TO[table?.of ?? "stacked"]];
  const kernel = ropeKernel.variant({ SPAN: SPAN[type] }, ...header);
  const q = x.device.empty([rows, queryWidth], "f32", "queries");
  const [queryQuads, stride] = [queryWidth / 4, keys.size(1) / 4];
  const lanes = Math.ceil(queryQuads / SPAN[type]) + (2 * stride) / SPAN[type];
  x.device.run(
    kernel,
    { x, cosines, sines, q, keys, values, ...(table && { table: table.tensor }) },
    { queryQuads, keyQuads: keyWidth / 4, half: half / 4, first, stride },
    [Math.ceil(lanes / kernel.constants.LANES), rows],
    { bytes: 16 * rows * width }, // x, its partners and two angles are read, as much is written
  );
  return q;
}
