import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { GROUP, LOAD_QUAD, PANEL, type PackedMatrix } from "./packed.js";

export const gatherKernel = new Kernel(
  "gather",
  `
struct Params { rows: u32, width: u32, quads: u32, groups: u32, first: u32, count: u32 }
@group(0) @binding(0) var<storage, read> ids: array<u32>;      // [rows]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, width]

// One lane per quad of a row. The table is the packed matrix itself, so a tied output head needs no second copy.
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let quad = id.x;
  if (quad >= params.quads || ids[id.y] < params.first) { return; }
  let entry = ids[id.y] - params.first;
  if (entry >= params.count) { return; }
  let group = entry / PANEL * params.groups + quad / GROUP;
  let e = load(group, quad % GROUP, entry % PANEL, scaleOf(group, entry % PANEL));
  let at = id.y * params.width + quad * 4u;
  for (var i = 0u; i < 4u; i++) {
    if (quad * 4u + i < params.width) { y[at + i] = e[i]; }
  }
}
`,
  { LANES: 64, PANEL, GROUP },
);

/**
 * Embedding lookup, the rows of a packed table by id: ids `[T]` u32, table `[V, D]`, result `[T, D]` f32. Ids not below V leave
 * their row undefined.
 */
export function gather(ids: Tensor, table: PackedMatrix, label: string): Tensor {
  const rows = ids.size(0);
  const width = table.inner;
  const y = ids.device.empty([rows, width], "f32", label);
  const kernel = gatherKernel.variant({}, LOAD_QUAD[table.type]);
  for (const block of table.blocks) {
    ids.device.run(
      kernel,
      { ids, weights: block.tensor, y },
      { rows, width, quads: table.quads, groups: table.groups, first: block.firstColumn, count: block.columns },
      [Math.ceil(table.quads / gatherKernel.constants.LANES), rows],
      { bytes: 8 * rows * width },
    );
  }
  return y;
}
