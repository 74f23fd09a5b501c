import type { Device } from "../runtime/device.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { PANEL, PackedMatrix, type WeightType } from "./packed.js";

/** Element types of a checkpoint's matrices. */
export type SourceType = "f32" | "f16" | "bf16";

const READ: Record<SourceType, string> = {
  f32: "fn element(i: u32) -> f32 { return bitcast<f32>(source[i]); }",
  f16: "fn element(i: u32) -> f32 { return unpack2x16float(source[i / 2u])[i % 2u]; }",
  bf16: "fn element(i: u32) -> f32 { return bitcast<f32>(select(source[i / 2u] << 16u, source[i / 2u] & 0xffff0000u, i % 2u == 1u)); }",
};

const WRITE: Record<WeightType, string> = {
  f32: `
@group(0) @binding(1) var<storage, read_write> packed: array<vec4f>;  // [panels, quads, PANEL]
fn store(at: u32, e: vec4f) { packed[at] = e; }`,
  f16: `
@group(0) @binding(1) var<storage, read_write> packed: array<vec2u>;  // [panels, quads, PANEL]
fn store(at: u32, e: vec4f) { packed[at] = vec2u(pack2x16float(e.xy), pack2x16float(e.zw)); }`,
  bf16: `
@group(0) @binding(1) var<storage, read_write> packed: array<vec2u>;  // [panels, quads, PANEL]
fn store(at: u32, e: vec4f) {
  let bits = bitcast<vec4u>(e);
  let r = (bits + 0x7fffu + ((bits >> vec4u(16u)) & vec4u(1u))) >> vec4u(16u);  // to nearest, ties to even
  packed[at] = vec2u(r.x | (r.y << 16u), r.z | (r.w << 16u));
}`,
};

export const packKernel = new Kernel(
  "pack",
  `
struct Params { rows: u32, inner: u32, quads: u32, firstRow: u32, firstColumn: u32 }
@group(0) @binding(0) var<storage, read> source: array<u32>;  // [rows, inner] as stored

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let quad = id.y;
  if (row >= params.rows) { return; }
  var e = vec4f();
  for (var i = 0u; i < 4u; i++) {
    let k = quad * 4u + i;
    if (k < params.inner) { e[i] = element((params.firstRow + row) * params.inner + k); }
  }
  let column = params.firstColumn + row;
  store(((column / PANEL) * params.quads + quad) * PANEL + column % PANEL, e);
}
`,
  { LANES: 64, PANEL },
);

/**
 * Writes rows of a stored matrix into their place in a packed one: `packed[:, firstColumn + r] = source[r, :]`.
 * `source` holds `[rows, inner]` of `type` as `u32` words.
 */
export function pack(source: Tensor, type: SourceType, rows: number, matrix: PackedMatrix, firstColumn: number): void {
  const { LANES } = packKernel.constants;
  const kernel = packKernel.variant({}, READ[type], WRITE[matrix.type]);
  for (const block of matrix.blocks) {
    // The part of the rows that falls into this block.
    const from = Math.max(firstColumn, block.firstColumn);
    const to = Math.min(firstColumn + rows, block.firstColumn + block.columns);
    if (from >= to) continue;
    source.device.run(
      kernel,
      { source, packed: block.tensor },
      {
        rows: to - from,
        inner: matrix.inner,
        quads: matrix.quads,
        firstRow: from - firstColumn,
        firstColumn: from - block.firstColumn,
      },
      [Math.ceil((to - from) / LANES), matrix.quads],
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
