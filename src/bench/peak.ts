import { throwIfAborted } from "../base/errors.js";
import type { Device } from "../runtime/device.js";
import { Kernel } from "../runtime/kernel.js";

/** Measured peaks of the adapter, the roofline of this run. */
export interface Peak {
  readonly gflops: number;
  /** Description of the fastest loop. */
  readonly loop: string;
  readonly gigabytesPerSecond: number;
}

/** Describes a peak in a line. */
export function peakText({ gflops, loop, gigabytesPerSecond }: Peak): string {
  return `${gflops.toFixed(1)} GFLOP/s (multiply-adds in registers, ${loop}), ${gigabytesPerSecond.toFixed(1)} GB/s (copy)`;
}

const copyKernel = new Kernel(
  "peakCopy",
  `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < arrayLength(&x); i += groups.x * LANES) { y[i] = x[i]; }
}
`,
  { LANES: 64 },
);

const ROUND = `    s0 = s0 * a + b; s1 = s1 * a + b; s2 = s2 * a + b; s3 = s3 * a + b;
    s4 = s4 * a + b; s5 = s5 * a + b; s6 = s6 * a + b; s7 = s7 * a + b;
`;
/** Loop unrolling: on CPU adapters loop overhead costs as much as several multiply-adds. */
const UNROLLED = 8;

const FMA = `
struct Params { rounds: u32, a: f32, b: f32 }
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let a = V(params.a);
  let b = V(params.b);
  var s0 = V(f32(id.x)); var s1 = s0 + 1.0; var s2 = s0 + 2.0; var s3 = s0 + 3.0;
  var s4 = s0 + 4.0; var s5 = s0 + 5.0; var s6 = s0 + 6.0; var s7 = s0 + 7.0;
  for (var i = 0u; i < params.rounds; i++) {
${ROUND.repeat(UNROLLED)}  }
  let s = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
  y[id.x] = total(s);
}
`;
const SCALAR = "alias V = f32; fn total(s: V) -> f32 { return s; }";
const VECTOR = "alias V = vec4f; fn total(s: V) -> f32 { return dot(s, V(1.0)); }";
const CHAINS = 8;

/**
 * Loops of multiply-adds in registers, eight independent chains a lane so that the units are full; the inputs are not
 * constants, so that nothing folds. Which one is fastest depends on the adapter: all are tried.
 */
const VARIANTS = [
  { name: "8 lanes of scalars", lanes: 8, width: 1 },
  { name: "64 lanes of scalars", lanes: 64, width: 1 },
  { name: "64 lanes of vec4", lanes: 64, width: 4 },
  { name: "256 lanes of scalars", lanes: 256, width: 1 },
].map(({ name, lanes, width }) => ({
  name,
  lanes,
  flopsARound: 2 * CHAINS * UNROLLED * width,
  kernel: new Kernel("peakMultiplyAdd", FMA, {}).variant({ LANES: lanes }, width === 1 ? SCALAR : VECTOR),
}));

/** Total lanes: more than the largest GPUs run concurrently. */
const LANES_IN_ALL = 2 ** 18;
/** Copies and loops grow until they take this long, so that submission and waiting do not count. */
const LONG_SECONDS = 0.05;
/** Bytes of each of the two buffers of the copy: on GPUs together more than their last-level caches, and room for them on phones. */
const COPY_BYTES = { cpu: 64 * 2 ** 20, gpu: 128 * 2 ** 20 };
const MOST_COPIES = 2 ** 12;
const LEAST_ROUNDS = 8;
const MOST_ROUNDS = 2 ** 24;

/** Measures a copy and the multiply-add loops; best of several runs each. Throws AbortedError. */
export async function measurePeak(device: Device, signal?: AbortSignal): Promise<Peak> {
  const arena = device.arena("peak");
  try {
    const { onCPU, maxBindingBytes } = device.facts;
    const bytes = Math.min(onCPU ? COPY_BYTES.cpu : COPY_BYTES.gpu, maxBindingBytes);
    const [x, y] = arena.run(() => [
      device.empty([bytes / 4], "f32", "peak x"),
      device.empty([bytes / 4], "f32", "peak y"),
    ]);
    const best = async (runs: number, dispatch: () => void): Promise<number> => {
      let least = Number.POSITIVE_INFINITY;
      for (let i = 0; i < runs; i++) {
        throwIfAborted(signal, "measurePeak");
        const started = performance.now();
        dispatch();
        await device.sync();
        least = Math.min(least, (performance.now() - started) / 1000);
      }
      return least;
    };
    /** Repeats more and more until it takes long, then a few times for the best; returns repetitions per second. */
    const rate = async (least: number, most: number, dispatch: (count: number) => void): Promise<number> => {
      let count = least;
      await best(1, () => dispatch(count));
      let seconds = await best(1, () => dispatch(count));
      while (seconds < LONG_SECONDS && count < most) {
        count *= seconds < LONG_SECONDS / 8 ? 8 : 2;
        seconds = await best(1, () => dispatch(count));
      }
      return count / Math.min(seconds, await best(3, () => dispatch(count)));
    };
    const copiesPerSecond = await rate(1, MOST_COPIES, (copies) => {
      for (let i = 0; i < copies; i++) device.run(copyKernel, { x: x!, y: y! }, {}, [4096]);
    });
    let gflops = 0;
    let loop = "";
    for (const { name, lanes, flopsARound, kernel } of VARIANTS) {
      const roundsPerSecond = await rate(LEAST_ROUNDS, MOST_ROUNDS, (rounds) => {
        const work = { flops: LANES_IN_ALL * flopsARound * rounds, bytes: 4 * LANES_IN_ALL };
        device.run(kernel, { y: y! }, { rounds, a: 0.999, b: 0.001 }, [LANES_IN_ALL / lanes], work);
      });
      const reached = (LANES_IN_ALL * flopsARound * roundsPerSecond) / 1e9;
      if (reached > gflops) [gflops, loop] = [reached, name];
    }
    return { gflops, loop, gigabytesPerSecond: (2 * bytes * copiesPerSecond) / 1e9 };
  } finally {
    arena.dispose();
    device.pool.trim();
  }
}
