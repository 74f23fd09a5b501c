import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";

/** One workgroup: the order of the sum does not depend on the schedule. */
export const sumSquaresKernel = new Kernel(
  "sumSquares",
  `
struct Params { count: u32, factor: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;        // [count]
@group(0) @binding(1) var<storage, read_write> y: array<f32>;  // [1]

var<workgroup> partial: array<f32, LANES>;

// More than any sum has terms; a constant bound proves that the loop ends.
const MOST_STEPS = 1048576u;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  // Pairs of sums: a large parameter has millions of small squares.
  var sum = 0.0;
  var rest = 0.0;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let i = step * LANES + lane;
    if (i >= params.count) { break; }
    let value = x[i] * x[i] + rest;
    let next = sum + value;
    rest = value - (next - sum);
    sum = next;
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var level = 1u; level <= firstLeadingBit(LANES); level++) {
    let reach = LANES >> level;
    if (lane < reach) { partial[lane] += partial[lane + reach]; }
    workgroupBarrier();
  }
  if (lane == 0u) { y[0] += params.factor * partial[0]; }
}
`,
  { LANES: 256 },
);

/** Adds the sum of the squares of x, times `factor`, to y `[1]`. */
export function addSumSquares(x: Tensor, y: Tensor, factor = 1): void {
  x.device.run(sumSquaresKernel, { x, y }, { count: x.length, factor }, [1]);
}
