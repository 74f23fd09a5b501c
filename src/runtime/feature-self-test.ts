import { firstLineOf } from "../base/cause-message.js";
import { MATRIX_LAYOUT, MATRIX_TILE, matrixDepth } from "./matrix-layout.js";
import { GPU_COPY_DST, GPU_COPY_SRC, GPU_MAP_READ, GPU_STORAGE } from "./pool.js";

/** A subgroup-matrix configuration: the product of an m×k and a k×n matrix, accumulated in f32. */
export interface SubgroupMatrix {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Type of the factors. */
  readonly input: "f16" | "f32";
}

/** Rows of the factors of the product that a self-test computes, one tile, and their length: several steps of two parts. */
const SIDE = MATRIX_TILE;
const INNER = 128;

const POWERS = [1, 2 ** 9, 2 ** -23];

/**
 * Factors whose products are exact in f32, in every order of the sums: integers times a power of two for each row. The integers are of
 * f16, and sums of their products exceed it, so that accumulation must be in f32. Of three rows one has large numbers, up to 49,152, and one only
 * subnormals of f16, which drivers may flush to zero; they are even multiples of the least, so that their halves are exact too.
 */
const factor = (integer: (i: number) => number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: SIDE * INNER }, (_, i) => integer(i) * POWERS[Math.floor(i / INNER) % POWERS.length]!);
const LEFT = factor((i) => ((i * 29) % 127) - 30);
const RIGHT = factor((i) => ((i * 43) % 61) - 10);

const BINDINGS = `
@group(0) @binding(0) var<storage, read> a: array<f32>;        // [rows, inner]
@group(0) @binding(1) var<storage, read> b: array<f32>;        // [columns, inner]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, columns]
const SIDE = ${SIDE}u;
const INNER = ${INNER}u;`;

const HALVES = `
enable f16;
${BINDINGS}
@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) thread: u32) {
  for (var at = thread; at < SIDE * SIDE; at += 128u) {
    var sum = 0.0;
    for (var k = 0u; k < INNER; k++) {
      let whole = f16(a[at / SIDE * INNER + k]);
      sum += f32((whole - whole * 0.5h) * 2.0h) * f32(f16(b[at % SIDE * INNER + k]));
    }
    y[at] = sum;
  }
}`;

/**
 * Uses matrices as `matmulSubgroupMatrix` does: its layout, depth and quarters; the left matrix row-major, the right one column-major;
 * f16 in two parts, here the next elements of the inner dimension; results through workgroup memory.
 */
const matrices = ({ m, n, k, input }: SubgroupMatrix, depth: number): string => `
${input === "f16" ? "enable f16;" : ""}
enable subgroups;
enable chromium_experimental_subgroup_matrix;
${BINDINGS}
const TILE = ${MATRIX_TILE}u;
const M = ${m}u;
const N = ${n}u;
const K = ${k}u;
const DEPTH = ${depth}u;
const PARTS = ${input === "f16" ? 2 : 1}u;
${MATRIX_LAYOUT}
const LENGTH = 4u * DEPTH;
alias E = ${input};
alias Left = subgroup_matrix_left<E, K, M>;
alias Right = subgroup_matrix_right<E, N, K>;
var<workgroup> left: array<E, PARTS * TILE * STRIDE>;
var<workgroup> right: array<E, PARTS * TILE * STRIDE>;
var<workgroup> results: array<f32, 4u * M * WIDE>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32,
) {
  for (var turn = 0u; turn < 4u; turn++) {
    let first = turn * subgroups;
    if (first >= 4u) { break; }
    let quarter = (first + subgroup) % 4u;
    let top = quarter / 2u * OWN;
    let side = quarter % 2u * OWN;
    var sums = array<subgroup_matrix_result<f32, N, M>, DOWN * ACROSS>();
    for (var step = 0u; step < INNER / (PARTS * LENGTH); step++) {
      for (var at = thread; at < PARTS * TILE * LENGTH; at += THREADS) {
        let row = at / LENGTH;
        let source = row % TILE * INNER + (step * PARTS + row / TILE) * LENGTH + at % LENGTH;
        left[row * STRIDE + at % LENGTH] = E(a[source]);
        right[row * STRIDE + at % LENGTH] = E(b[source]);
      }
      workgroupBarrier();
      for (var inner = 0u; inner < LENGTH; inner += K) {
        for (var p = 0u; p < PARTS; p++) {
          for (var i = 0u; i < DOWN; i++) {
            let l = subgroupMatrixLoad<Left, row_major>(&left, (p * TILE + top + i * M) * STRIDE + inner, STRIDE);
            for (var j = 0u; j < ACROSS; j++) {
              let r = subgroupMatrixLoad<Right, col_major>(&right, (p * TILE + side + j * N) * STRIDE + inner, STRIDE);
              sums[i * ACROSS + j] = subgroupMatrixMultiplyAccumulate(l, r, sums[i * ACROSS + j]);
            }
          }
        }
      }
      workgroupBarrier();
    }
    for (var i = 0u; i < DOWN; i++) {
      for (var j = 0u; j < OWN / WIDE; j++) {
        if (subgroup < 4u) {
          for (var s = 0u; s < WIDE / N; s++) {
            let sum = sums[i * ACROSS + j * (WIDE / N) + s];
            subgroupMatrixStore<row_major>(&results, quarter * M * WIDE + s * N, sum, WIDE);
          }
        }
        workgroupBarrier();
        for (var at = thread; at < 4u * M * WIDE; at += THREADS) {
          let stored = at / (M * WIDE);
          if (stored >= first && stored < first + subgroups) {
            let row = stored / 2u * OWN + i * M + at / WIDE % M;
            y[row * SIDE + stored % 2u * OWN + j * WIDE + at % WIDE] = results[at];
          }
        }
        workgroupBarrier();
      }
    }
  }
}`;

/** Tests f16 arithmetic; returns what is wrong, or undefined if it is correct. The device may be lost afterwards. */
export function testF16(gpu: GPUDevice): Promise<string | undefined> {
  return wrongIn(gpu, HALVES);
}

/** Tests products of subgroup matrices; returns as {@link testF16}. */
export function testSubgroupMatrix(gpu: GPUDevice, matrix: SubgroupMatrix): Promise<string | undefined> {
  return wrongIn(gpu, matrices(matrix, matrixDepth(gpu.limits.maxComputeWorkgroupStorageSize)));
}

async function wrongIn(gpu: GPUDevice, code: string): Promise<string | undefined> {
  try {
    const lost = gpu.lost.then((info) => Promise.reject(new Error(`the device was lost: ${info.message}`)));
    const got = await Promise.race([product(gpu, code), lost]);
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) {
        let truth = 0;
        for (let k = 0; k < INNER; k++) truth += LEFT[row * INNER + k]! * RIGHT[column * INNER + k]!;
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
    const made = gpu.createBuffer({ label: "self-test", size: data?.byteLength ?? SIDE * SIDE * 4, usage });
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
    encoder.copyBufferToBuffer(y, 0, staging, 0, SIDE * SIDE * 4);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(1 /* GPUMapMode.READ */);
    return new Float32Array(staging.getMappedRange().slice(0));
  } finally {
    // Errors show as a wrong product or a rejection; they must not become uncaptured errors.
    await gpu.popErrorScope().catch(() => null);
    for (const one of buffers) one.destroy();
  }
}
