import type { Device } from "../runtime/device.js";
import { Kernel } from "../runtime/kernel.js";

/** What the adapter reached in this run: the roof that shares are counted from. */
export interface Peak {
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
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

// Sixteen independent chains a lane, so that the units are full; the inputs are not constants, so that nothing folds.
const fmaKernel = new Kernel(
  "peakFma",
  `
struct Params { rounds: u32, a: f32, b: f32 }
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let a = vec4f(params.a);
  let b = vec4f(params.b);
  var s0 = vec4f(f32(id.x)); var s1 = s0 + 1.0; var s2 = s0 + 2.0; var s3 = s0 + 3.0;
  for (var i = 0u; i < params.rounds; i++) {
    s0 = s0 * a + b; s1 = s1 * a + b; s2 = s2 * a + b; s3 = s3 * a + b;
    s0 = s0 * a + b; s1 = s1 * a + b; s2 = s2 * a + b; s3 = s3 * a + b;
  }
  let s = s0 + s1 + s2 + s3;
  y[id.x] = s.x + s.y + s.z + s.w;
}
`,
  { LANES: 64 },
);

/** Flops of a lane and round: 8 vec4 multiply-adds. */
const FLOPS_A_ROUND = 64;

/** Measures a copy and a multiply-add kernel; each grows until a run takes a tenth of a second. */
export async function measurePeak(device: Device): Promise<Peak> {
  const arena = device.arena("peak");
  try {
    const bytes = Math.min(64 * 2 ** 20, device.facts.maxBindingBytes);
    const [x, y] = arena.run(() => [
      device.empty([bytes / 4], "f32", "peak x"),
      device.empty([bytes / 4], "f32", "peak y"),
    ]);
    const groups = 1024;
    const best = async (dispatch: () => void): Promise<number> => {
      let least = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 4; i++) {
        const started = performance.now();
        dispatch();
        await device.sync();
        if (i > 0) least = Math.min(least, (performance.now() - started) / 1000);
      }
      return least;
    };
    const copySeconds = await best(() => device.run(copyKernel, { x: x!, y: y! }, {}, [groups]));
    let rounds = 64;
    let seconds = 0;
    for (; ; rounds *= 2) {
      seconds = await best(() => device.run(fmaKernel, { y: y! }, { rounds, a: 0.999, b: 0.001 }, [groups]));
      if (seconds > 0.1 || rounds > 1e6) break;
    }
    return {
      gflops: (groups * fmaKernel.constants.LANES * rounds * FLOPS_A_ROUND) / seconds / 1e9,
      gigabytesPerSecond: (2 * bytes) / copySeconds / 1e9,
    };
  } finally {
    arena.dispose();
  }
}
