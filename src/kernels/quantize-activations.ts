import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { GROUP, QUAD } from "./packed.js";

export const quantizeActivationsKernel = new Kernel(
  "quantizeActivations",
  `
struct Params { quads: u32, groups: u32, count: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;             // [rows, quads]
@group(0) @binding(1) var<storage, read_write> bytes: array<vec4u>;   // [rows, groups, GROUP / 4]
@group(0) @binding(2) var<storage, read_write> scales: array<vec2f>;  // [rows, groups]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let at = (workgroup.y * ACROSS + workgroup.x) * LANES + lane;
  if (at >= params.count) { return; }
  let row = at / params.groups;
  let first = at % params.groups * GROUP;
  var own: array<vec4f, GROUP>;
  var most = vec4f();
  for (var i = 0u; i < GROUP; i++) {
    let quad = first + i;
    own[i] = select(vec4f(), x[row * params.quads + min(quad, params.quads - 1u)], quad < params.quads);
    most = max(most, abs(own[i]));
  }
  let largest = max(max(most.x, most.y), max(most.z, most.w));
  // Smaller ones have no inverse in f32.
  let inverse = select(0.0, 127.0 / largest, largest > 1e-36);
  var words: array<u32, GROUP>;
  var sum = 0;
  for (var i = 0u; i < GROUP; i++) {
    words[i] = pack4xI8(vec4i(round(own[i] * inverse)));
    sum += dot4I8Packed(words[i], 0x01010101u);
  }
  for (var i = 0u; i < GROUP / 4u; i++) {
    bytes[at * (GROUP / 4u) + i] = vec4u(words[4u * i], words[4u * i + 1u], words[4u * i + 2u], words[4u * i + 3u]);
  }
  let scale = largest / 127.0;
  scales[at] = vec2f(scale, scale * f32(sum));
}
`,
  { GROUP, LANES: 64, ACROSS: 32768 },
);

/** Activations in 8 bits. */
export interface QuantizedActivations {
  /** `[rows, groups, 8]` u32: four signed bytes each. */
  readonly bytes: Tensor;
  /** `[rows, groups, 2]` f32: the scale, and its product with the sum of the bytes. */
  readonly scales: Tensor;
}

/**
 * Quantises rows to 8 bits by groups of 32 values: `scale = max|x| / 127`, as Q8_1 of GGML. x `[rows, quads · 4]` f32; the last group is
 * filled with zeros. Needs WGSL's packed dot products.
 */
export function quantizeActivations(x: Tensor, quads: number): QuantizedActivations {
  const rows = x.length / (QUAD * quads);
  const groups = Math.ceil(quads / GROUP);
  const count = rows * groups;
  const bytes = x.device.empty([rows, groups, GROUP], "u32", `${x.label} bytes`);
  const scales = x.device.empty([rows, groups, 2], "f32", `${x.label} scales`);
  const { LANES, ACROSS } = quantizeActivationsKernel.constants;
  const workgroups = Math.ceil(count / LANES);
  const grid = [Math.min(workgroups, ACROSS), Math.ceil(workgroups / ACROSS)] as const;
  x.device.run(quantizeActivationsKernel, { x, bytes, scales }, { quads, groups, count }, grid);
  return { bytes, scales };
}
