import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { LOAD_OCT, OCT_STRUCT, PANEL, type PackedMatrix } from "./packed.js";

export const gatherKernel = new Kernel(
  "gather",
  `
struct Params { rows: u32, width: u32, octs: u32, first: u32, count: u32 }
@group(0) @binding(0) var<storage, read> ids: array<u32>;      // [rows]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, width]
${OCT_STRUCT}

// One lane an oct of a row. The table is the packed matrix itself, so a tied head needs no second copy.
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let oct = id.x;
  if (oct >= params.octs || ids[id.y] < params.first) { return; }
  let entry = ids[id.y] - params.first;
  if (entry >= params.count) { return; }
  let e = load(((entry / PANEL) * params.octs + oct) * PANEL, entry % PANEL);
  let at = id.y * params.width + oct * 8u;
  for (var i = 0u; i < 4u; i++) {
    if (oct * 8u + i < params.width) { y[at + i] = e.a[i]; }
    if (oct * 8u + 4u + i < params.width) { y[at + 4u + i] = e.b[i]; }
  }
}
`,
  { LANES: 64, PANEL },
);

/** Rows of a packed table by number: ids `[T]` u32, table `[V, D]`, result `[T, D]` f32. Ids not below V leave their row undefined. */
export function gather(ids: Tensor, table: PackedMatrix, label: string): Tensor {
  const rows = ids.size(0);
  const width = table.inner;
  const y = ids.device.empty([rows, width], "f32", label);
  const kernel = gatherKernel.variant({}, LOAD_OCT[table.type]);
  for (const block of table.blocks) {
    ids.device.run(
      kernel,
      { ids, weights: block.tensor, y },
      { rows, width, octs: table.octs, first: block.firstColumn, count: block.columns },
      [Math.ceil(table.octs / gatherKernel.constants.LANES), rows],
    );
  }
  return y;
}
