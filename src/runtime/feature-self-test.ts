import { firstLineOf } from "../base/cause-message.js";
import { GPU_COPY_DST, GPU_COPY_SRC, GPU_MAP_READ, GPU_STORAGE } from "./pool.js";

/** A subgroup-matrix configuration: the product of an m×k and a k×n matrix, accumulated in f32. */
export interface SubgroupMatrix {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Type of the factors. */
  readonly input: "f16" | "f32";
}

/** Side of the square product that a self-test computes; a multiple of every subgroup-matrix size that the kernels use. */
const SIDE = 32;
const ELEMENTS = SIDE * SIDE;

/** Integers that f16 represents exactly; the sums of their products exceed f16, so that accumulation must be in f32. */
const LEFT = Float32Array.from({ length: ELEMENTS }, (_, i) => ((i * 29) % 127) - 30);
const RIGHT = Float32Array.from({ length: ELEMENTS }, (_, i) => ((i * 43) % 61) - 10);

const BINDINGS = `
@group(0) @binding(0) var<storage, read> a: array<f32>;        // [rows, inner]
@group(0) @binding(1) var<storage, read> b: array<f32>;        // [columns, inner]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, columns]
const SIDE = ${SIDE}u;`;

const HALVES = `
enable f16;
${BINDINGS}
@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) thread: u32) {
  for (var at = thread; at < SIDE * SIDE; at += 128u) {
    var sum = 0.0;
    for (var k = 0u; k < SIDE; k++) {
      let whole = f16(a[at / SIDE * SIDE + k]);
      sum += f32((whole - whole * 0.5h) * 2.0h) * f32(f16(b[at % SIDE * SIDE + k]));
    }
    y[at] = sum;
  }
}`;

/** Uses matrices as the kernels do: loaded from workgroup memory, the left one row-major, the right one column-major. */
const matrices = ({ m, n, k, input }: SubgroupMatrix): string => `
${input === "f16" ? "enable f16;" : ""}
enable subgroups;
enable chromium_experimental_subgroup_matrix;
${BINDINGS}
var<workgroup> left: array<${input}, SIDE * SIDE>;
var<workgroup> right: array<${input}, SIDE * SIDE>;
var<workgroup> sums: array<f32, SIDE * SIDE>;

@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32) {
  for (var at = thread; at < SIDE * SIDE; at += 128u) {
    left[at] = ${input}(a[at]);
    right[at] = ${input}(b[at]);
  }
  workgroupBarrier();
  for (var row = 0u; row < SIDE; row += ${m}u) {
    for (var column = 0u; column < SIDE; column += ${n}u) {
      var sum: subgroup_matrix_result<f32, ${n}, ${m}>;
      for (var inner = 0u; inner < SIDE; inner += ${k}u) {
        let l = subgroupMatrixLoad<subgroup_matrix_left<${input}, ${k}, ${m}>, row_major>(&left, row * SIDE + inner, SIDE);
        let r = subgroupMatrixLoad<subgroup_matrix_right<${input}, ${n}, ${k}>, col_major>(&right, column * SIDE + inner, SIDE);
        sum = subgroupMatrixMultiplyAccumulate(l, r, sum);
      }
      if (subgroup == 0u) { subgroupMatrixStore<row_major>(&sums, row * SIDE + column, sum, SIDE); }
    }
  }
  workgroupBarrier();
  for (var at = thread; at < SIDE * SIDE; at += 128u) { y[at] = sums[at]; }
}`;

/** Tests f16 arithmetic; returns what is wrong, or undefined if it is correct. The device may be lost afterwards. */
export function testF16(gpu: GPUDevice): Promise<string | undefined> {
  return wrongIn(gpu, HALVES);
}

/** Tests products of subgroup matrices; returns as {@link testF16}. */
export function testSubgroupMatrix(gpu: GPUDevice, matrix: SubgroupMatrix): Promise<string | undefined> {
  return wrongIn(gpu, matrices(matrix));
}

async function wrongIn(gpu: GPUDevice, code: string): Promise<string | undefined> {
  try {
    const lost = gpu.lost.then((info) => Promise.reject(new Error(`the device was lost: ${info.message}`)));
    const got = await Promise.race([product(gpu, code), lost]);
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) {
        let truth = 0;
        for (let k = 0; k < SIDE; k++) truth += LEFT[row * SIDE + k]! * RIGHT[column * SIDE + k]!;
        const value = got[row * SIDE + column]!;
        if (value !== truth) return `element [${row}, ${column}] of a product came out as ${value} instead of ${truth}`;
      }
    }
    return undefined;
  } catch (error) {
    return firstLineOf(error);
  }
}

async function product(gpu: GPUDevice, code: string): Promise<Float32Array> {
  const buffers: GPUBuffer[] = [];
  const buffer = (usage: number, data?: Float32Array<ArrayBuffer>): GPUBuffer => {
    const made = gpu.createBuffer({ label: "self-test", size: ELEMENTS * 4, usage });
    buffers.push(made);
    if (data) gpu.queue.writeBuffer(made, 0, data);
    return made;
  };
  gpu.pushErrorScope("validation");
  try {
    const a = buffer(GPU_STORAGE | GPU_COPY_DST, LEFT);
    const b = buffer(GPU_STORAGE | GPU_COPY_DST, RIGHT);
    const y = buffer(GPU_STORAGE | GPU_COPY_SRC);
    const staging = buffer(GPU_MAP_READ | GPU_COPY_DST);
    const module = gpu.createShaderModule({ label: "self-test", code });
    const { messages } = await module.getCompilationInfo();
    const refused = messages.find(({ type }) => type === "error");
    if (refused) throw new Error(`the shader was refused: ${refused.message}`);
    const pipeline = await gpu.createComputePipelineAsync({ label: "self-test", layout: "auto", compute: { module } });
    const layout = pipeline.getBindGroupLayout(0);
    const entries = [a, b, y].map((one, binding) => ({ binding, resource: { buffer: one } }));
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(y, 0, staging, 0, ELEMENTS * 4);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(1 /* GPUMapMode.READ */);
    return new Float32Array(staging.getMappedRange().slice(0));
  } finally {
    // Errors show as a wrong product or a rejection; they must not become uncaptured errors.
    await gpu.popErrorScope().catch(() => null);
    for (const one of buffers) one.destroy();
  }
}
