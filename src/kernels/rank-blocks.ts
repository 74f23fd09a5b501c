import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const rankBlocksKernel = new Kernel(
  "rankBlocks",
  `
struct Params { count: u32, ranks: u32, first: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;         // [rows, ranks]
@group(0) @binding(1) var<storage, read> partOfRow: array<u32>;       // of all rows
@group(0) @binding(2) var<storage, read> partOfRank: array<u32>;      // [ranks]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * LANES + id.x;
  if (i >= params.count) { return; }
  if (partOfRow[params.first + i / params.ranks] != partOfRank[i % params.ranks]) { x[i] = 0.0; }
}
`,
  { LANES: 64 },
);

/**
 * Sets the elements of x `[rows, ranks]` to zero whose row and rank belong to different parts of a fused layer: B of LoRA has no
 * parameters there. x may be a block of the matrix whose first row is `first`.
 */
export function keepRankBlocks(x: Tensor, partOfRow: Tensor, partOfRank: Tensor, first = 0): void {
  const groups = Math.ceil(x.length / rankBlocksKernel.constants.LANES);
  const across = Math.min(groups, 65535);
  x.device.run(
    rankBlocksKernel,
    { x, partOfRow, partOfRank },
    { count: x.length, ranks: x.size(1), first },
    [across, Math.ceil(groups / across)],
    { bytes: 8 * x.length },
  );
}
