import type { Device } from "../../src/runtime/device.js";
import { Kernel } from "../../src/runtime/kernel.js";
import type { Tensor } from "../../src/runtime/tensor.js";

/** A kernel for tests of what runs kernels: adds `amount` to `count` elements. */
export const add = new Kernel(
  "add",
  `
struct Params { count: u32, amount: f32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(LANES) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { x[id.x] += params.amount; }
}`,
  { LANES: 64 },
);

export function addTo(device: Device, x: Tensor, amount: number): void {
  device.run(add, { x }, { count: x.length, amount }, [Math.ceil(x.length / 64)]);
}
