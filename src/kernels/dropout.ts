import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

export const dropoutKernel = new Kernel(
  "dropout",
  `
struct Params { count: u32, key: u32, dropped: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [count]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // [count]

fn mixed(x: u32) -> u32 {
  var z = (x ^ (x >> 16u)) * 0x21f0aaadu;
  z = (z ^ (z >> 15u)) * 0x735a2d97u;
  return z ^ (z >> 15u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * LANES + id.x;
  if (i >= params.count) { return; }
  let kept = mixed(mixed(i) + params.key) >= params.dropped;
  y[i] = before(i) + select(0.0, params.scale * x[i], kept);
}
`,
  { LANES: 64 },
);

const FRESH = "fn before(i: u32) -> f32 { return 0.0; }";
const ADDED = "fn before(i: u32) -> f32 { return y[i]; }";

/** A share of elements to drop, and which. */
export interface Dropout {
  /** From 0 to below 1. */
  readonly rate: number;
  /** 32 bits: the same key drops the same elements. */
  readonly key: number;
}

/**
 * Dropout (JMLR 15, 1929): f32 x of any shape → y of the same shape, element i 0 where a hash of i and the key is less than `rate·2³²`, else
 * `x/(1 − rate)`; added to `into` if given. No mask is stored: the backward pass computes it again, and its gradient is dropout of dy.
 */
export function dropout(x: Tensor, { rate, key }: Dropout, into?: Tensor): Tensor {
  const y = into ?? x.device.empty(x.shape, "f32", x.label);
  const kernel = dropoutKernel.variant({}, into ? ADDED : FRESH);
  const groups = Math.ceil(x.length / kernel.constants.LANES);
  const across = Math.min(groups, 65535);
  const params = { count: x.length, key, dropped: Math.floor(rate * 2 ** 32), scale: 1 / (1 - rate) };
  x.device.run(kernel, { x, y }, params, [across, Math.ceil(groups / across)]);
  return y;
}
