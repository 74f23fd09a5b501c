import { type AttentionShape, attention } from "../kernels/attention.js";
import { matmul } from "../kernels/matmul.js";
import { PackedMatrix } from "../kernels/packed.js";
import { Linear } from "../layers/linear.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { relativeError } from "./compare.js";
import { attention as attentionReference } from "./reference/attention.js";
import { heldMatrix } from "./reference/layers.js";
import { matmul as matmulReference } from "./reference/matmul.js";
import { ROW_KERNELS } from "./row-kernels.js";
import { SAMPLING_WORKLOADS } from "./sampling.js";
import { normals, Runs, synthetic } from "./synthetic.js";
import { uploading } from "./uploads.js";
import type { Workload } from "./workload.js";

/** Benchmarks of single kernels, in shapes of the model family. */

/** Number of columns on which wide products are verified, spread over the matrix including the last one. */
const VERIFY_COLUMNS = 512;

/** Largest relative error on some rows; verifying all would take the float64 loops too long. */
export async function worstOfRows(
  y: Tensor,
  rows: readonly number[],
  truth: (row: number) => ArrayLike<number>,
): Promise<number> {
  const width = y.size(-1);
  const got = await y.read();
  let worst = 0;
  for (const row of rows) {
    worst = Math.max(worst, relativeError(got.subarray(row * width, (row + 1) * width), truth(row)));
  }
  return worst;
}

/** Runs once and passes the result to `look`. */
export async function looking<T>(device: Device, run: () => Tensor, look: (y: Tensor) => Promise<T>): Promise<T> {
  const y = device.scope(run);
  try {
    return await look(y);
  } finally {
    y.dispose();
  }
}

/**
 * Bytes of weights that runs of a product of one row go through on GPUs before they read the same again: more than their last-level
 * caches, which would otherwise be measured instead of memory.
 */
const COLD_BYTES = 256 * 2 ** 20;

/** Number of copies of a matrix that runs go through; one on CPU adapters, where memory is not the limit. */
export function coldCopies(
  { onCPU, maxBufferBytes }: Pick<AdapterFacts, "onCPU" | "maxBufferBytes">,
  bytes: number,
): number {
  // WebGPU does not report the memory of a device; its largest buffer is less.
  return onCPU ? 1 : Math.max(1, Math.ceil(Math.min(COLD_BYTES, maxBufferBytes) / bytes));
}

/** Copies a matrix on the device. */
function copyOf(device: Device, { columns, inner, type, label, blocks }: PackedMatrix): PackedMatrix {
  const copied = blocks.map((block) => {
    const tensor = device.empty(block.tensor.shape, block.tensor.dtype, label);
    device.copy(block.tensor, 0, tensor, 0, tensor.sizeBytes);
    return { ...block, tensor };
  });
  return new PackedMatrix(columns, inner, type, label, copied);
}

/** A product `x·Wᵀ`. The runs of one row, which memory limits, go through copies of W that together exceed a GPU's caches. */
export function product(name: string, what: string, rows: number, inner: number, columns: number): Workload {
  return {
    name,
    what,
    shape: `${rows}×${inner} · ${inner}×${columns}`,
    kind: rows === 1 ? "row product" : "product",
    flops: 2 * rows * inner * columns,
    weights: inner * columns,
    otherBytes: 4 * rows * (inner + columns),
    async prepare(device, type) {
      const tensors = new Map([["w.weight", { shape: [columns, inner], scale: 0.05 }]]);
      const { layer, arena } = await synthetic(
        device,
        tensors,
        (root) => new Linear(root.storedAs(type), inner, [{ name: "w", columns }], { bias: false }),
      );
      const numbers = new Runs(11).take(rows * inner);
      const x = arena.run(() => device.upload(numbers, [rows, inner], "x"));
      const copies = rows === 1 ? coldCopies(device.facts, layer.weight.sizeBytes) : 1;
      const more = arena.run(() => Array.from({ length: copies - 1 }, () => copyOf(device, layer.weight)));
      const matrices = [layer.weight, ...more];
      let runs = 0;
      const run = () => matmul(x, matrices[runs++ % copies]!);
      return {
        run,
        async verify() {
          const step = Math.max(1, Math.ceil(columns / VERIFY_COLUMNS));
          const some = [...Array(Math.ceil(columns / step)).keys()].map((i) => columns - 1 - i * step);
          const held = await heldMatrix(layer.weight, some);
          const got = await looking(device, run, (y) => y.read());
          let worst = 0;
          for (const row of [...new Set([0, rows >> 1, rows - 1])]) {
            const own = numbers.subarray(row * inner, (row + 1) * inner);
            const truth = matmulReference(own, held, 1, inner, some.length);
            const values = some.map((column) => got[row * columns + column]!);
            worst = Math.max(worst, relativeError(values, truth));
          }
          return worst;
        },
        dispose: () => arena.dispose(),
      };
    },
  };
}

/** Attention only; with `causal` the queries are at the last positions of the keys. */
export function attending(
  name: string,
  what: string,
  sizes: Pick<AttentionShape, "queries" | "keys" | "heads" | "keyValueHeads" | "headSize">,
  causal: boolean,
): Workload {
  const { queries, keys, heads, keyValueHeads, headSize } = sizes;
  const first = keys - queries;
  const seenBy = (query: number): number => (causal ? first + query + 1 : keys);
  const pairs = causal ? (queries * (seenBy(0) + seenBy(queries - 1))) / 2 : queries * keys;
  const [width, keyWidth] = [heads * headSize, keyValueHeads * headSize];
  const shape: AttentionShape = { ...sizes, batches: 1, ...(causal && { causalFrom: first }) };
  return {
    name,
    what,
    shape: `${queries} over ${keys}, ${heads}/${keyValueHeads}×${headSize}`,
    kind: "other",
    flops: 4 * pairs * width,
    weights: 0,
    otherBytes: 4 * (2 * queries * width + 2 * keys * keyWidth),
    async prepare(device) {
      const arena = device.arena(name);
      const numbers = [queries * width, keys * keyWidth, keys * keyWidth].map((n, i) => normals(n, i + 1));
      const [q, k, v] = arena.run(() =>
        numbers.map((own, i) => {
          const across = i === 0 ? width : keyWidth;
          return { tensor: device.upload(own, [own.length / across, across], "qkv"[i]!), first: 0 };
        }),
      );
      const run = () => attention(q!, k!, v!, shape, name);
      const truth = (row: number) =>
        attentionReference(numbers[0]!.subarray(row * width, (row + 1) * width), numbers[1]!, numbers[2]!, {
          batches: 1,
          queries: 1,
          keys: seenBy(row),
          heads,
          keyValueHeads,
          headSize,
        });
      const rows = [...new Set([0, 1, 15, 16, queries >> 1, queries - 2, queries - 1])];
      const some = rows.filter((row) => row >= 0 && row < queries);
      return {
        run,
        verify: () => looking(device, run, (y) => worstOfRows(y, some, truth)),
        dispose: () => arena.dispose(),
      };
    },
  };
}

const HEADS_05B = { heads: 14, keyValueHeads: 2, headSize: 64 };
const HEADS_7B = { heads: 28, keyValueHeads: 4, headSize: 128 };

/** One kernel each, at the sizes of the published models. */
export const KERNEL_WORKLOADS: readonly Workload[] = [
  product("matvec_05b_gate_up", "0.5B: one row to gate and up", 1, 896, 9728),
  product("matvec_05b_down", "0.5B: one row down", 1, 4864, 896),
  product("matvec_7b_gate_up", "7B: one row to gate and up", 1, 3584, 37888),
  product("matvec_7b_down", "7B: one row down", 1, 18944, 3584),
  product("matmul_1024", "a product of many rows", 1024, 4096, 4096),
  attending(
    "attention_tile",
    "one tile, bidirectional",
    { queries: 729, keys: 729, heads: 16, keyValueHeads: 16, headSize: 72 },
    false,
  ),
  attending("attention_05b_prefill", "0.5B: causal", { queries: 2000, keys: 2000, ...HEADS_05B }, true),
  attending("attention_7b_prefill", "7B: causal", { queries: 2000, keys: 2000, ...HEADS_7B }, true),
  attending("attention_05b_step_1k", "0.5B: one query", { queries: 1, keys: 1024, ...HEADS_05B }, true),
  attending("attention_05b_step_8k", "0.5B: one query", { queries: 1, keys: 8192, ...HEADS_05B }, true),
  attending("attention_7b_step_8k", "7B: one query", { queries: 1, keys: 8192, ...HEADS_7B }, true),
  ...ROW_KERNELS,
  ...SAMPLING_WORKLOADS,
  uploading(64),
];
