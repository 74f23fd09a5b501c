import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const patchifyKernel = new Kernel(
  "patchify",
  `
struct Params { tileSide: u32, patchSide: u32, cells: u32, width: u32 }
@group(0) @binding(0) var<storage, read> pixels: array<u32>;   // [tiles, tileSide, tileSide, 3] bytes
@group(0) @binding(1) var<storage, read> levels: array<f32>;   // [3, 256]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [tiles * cells * cells, width]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let patch_ = group.x;
  let cell = patch_ % (params.cells * params.cells);
  let tile = patch_ / (params.cells * params.cells);
  let top = (cell / params.cells) * params.patchSide;
  let left = (cell % params.cells) * params.patchSide;
  let area = params.patchSide * params.patchSide;
  // A constant bound proves that the loop ends; no patch is so wide.
  for (var step = 0u; step < 65536u; step++) {
    let i = step * LANES + lane;
    if (i >= params.width) { break; }
    let channel = i / area;
    let line = top + (i % area) / params.patchSide;
    let column = left + i % params.patchSide;
    let byte = ((tile * params.tileSide + line) * params.tileSide + column) * 3u + channel;
    y[patch_ * params.width + i] = levels[channel * 256u + ((pixels[byte / 4u] >> (8u * (byte % 4u))) & 255u)];
  }
}
`,
  { LANES: 64 },
);

/**
 * Cuts tiles into patches and normalises them with a lookup table, bit-exactly: pixels `[N, S, S, 3]` u8, levels `[3, 256]` f32, result
 * `[N·cells², 3·patch²]` f32 (channel, line, column). Pixels beyond the last whole patch are ignored.
 */
export function patchify(pixels: Tensor, levels: Tensor, patchSide: number): Tensor {
  const [tiles, tileSide] = [pixels.size(0), pixels.size(1)];
  const cells = Math.floor(tileSide / patchSide);
  const width = 3 * patchSide * patchSide;
  const y = pixels.device.empty([tiles * cells * cells, width], "f32", "patches");
  pixels.device.run(patchifyKernel, { pixels, levels, y }, { tileSide, patchSide, cells, width }, [
    tiles * cells * cells,
  ]);
  return y;
}
