import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const zerosKernel = new Kernel(
  "zeros",
  `
struct Params { count: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;  // [count]

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * LANES + id.x;
  if (i < params.count) { x[i] = 0.0; }
}
`,
  { LANES: 64 },
);

/** Sets all elements of an f32 tensor to zero, on the device: a write from the host would transfer them. */
export function setZero(x: Tensor): void {
  const groups = Math.ceil(x.length / zerosKernel.constants.LANES);
  const across = Math.min(groups, 65535);
  x.device.run(zerosKernel, { x }, { count: x.length }, [across, Math.ceil(groups / across)], { bytes: x.sizeBytes });
}
