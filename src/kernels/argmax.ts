import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const argmaxKernel = new Kernel(
  "argmax",
  `
struct Params { count: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [count or more]
@group(0) @binding(1) var<storage, read_write> y: array<u32>;  // [1]
var<workgroup> values: array<f32, LANES>;
var<workgroup> places: array<u32, LANES>;

// The lowest index wins among equals: lanes walk upwards, and a merge prefers the lower place.
@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var best = -3.4e38;
  var place = 0xffffffffu;
  for (var i = lane; i < params.count; i += LANES) {
    if (x[i] > best) { best = x[i]; place = i; }
  }
  values[lane] = best;
  places[lane] = place;
  workgroupBarrier();
  for (var step = LANES / 2u; step > 0u; step /= 2u) {
    if (lane < step) {
      let other = lane + step;
      if (values[other] > values[lane] || (values[other] == values[lane] && places[other] < places[lane])) {
        values[lane] = values[other];
        places[lane] = places[other];
      }
    }
    workgroupBarrier();
  }
  if (lane == 0u) { y[0] = places[0]; }
}
`,
  { LANES: 256 },
);

/** Index of the largest of the first `count` elements, the lowest among equals: x `[…]` f32, result `[1]` u32 (2³²−1 if none is a number). */
export function argmax(x: Tensor, count: number): Tensor {
  const y = x.device.empty([1], "u32", "argmax");
  x.device.run(argmaxKernel, { x, y }, { count }, [1]);
  return y;
}
