import type { TensorIndex } from "../io/checkpoint.js";
import { bytesSource } from "../io/source.js";
import { WeightLoader, type Weights } from "../layers/weights.js";
import { Arena } from "../runtime/arena.js";
import type { Device } from "../runtime/device.js";
import { elementCount } from "../runtime/dtype.js";

/** Seeded numbers, roughly normal with deviation `scale`: sums of four of a xorshift generator. */
export function normals(count: number, seed: number, scale = 1): Float32Array {
  let state = seed >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * 1.73 * scale);
}

/** Size of the table that tensors are cut from: more than a loader reads at once. */
const TABLE_NUMBERS = 1 << 21;

/** The table, generated once: generating every number of a large model would take too long. */
let table: Float32Array | undefined;

/** Slices of a table of normal numbers at random offsets: random enough, and as fast as memory. */
export class Runs {
  readonly #table: Float32Array;
  #brain: Uint16Array | undefined;
  #state: number;

  constructor(seed: number, scale = 1, offset = 0) {
    table ??= normals(TABLE_NUMBERS, 1);
    this.#table = scale === 1 && offset === 0 ? table : table.map((number) => number * scale + offset);
    this.#state = (seed * 2654435761) >>> 0 || 1;
  }

  /** Returns a read-only view of `count` numbers, at most half the table. */
  view(count: number): Float32Array {
    const from = this.#place(TABLE_NUMBERS - count);
    return this.#table.subarray(from, from + count);
  }

  /** Returns a new array of `count` numbers. */
  take(count: number): Float32Array {
    const numbers = new Float32Array(count);
    for (let at = 0; at < count; at += TABLE_NUMBERS / 2) {
      numbers.set(this.view(Math.min(count - at, TABLE_NUMBERS / 2)), at);
    }
    return numbers;
  }

  /** Returns `count` bytes of f32 or bf16 numbers; a view, or a copy if more than half the table. */
  bytes(count: number, dtype: "F32" | "BF16"): Uint8Array {
    if (dtype === "F32") {
      const numbers = count / 4 <= TABLE_NUMBERS / 2 ? this.view(count / 4) : this.take(count / 4);
      return new Uint8Array(numbers.buffer, numbers.byteOffset, count);
    }
    // The upper half of an f32 is a bf16, rounded towards zero.
    this.#brain ??= Uint16Array.from(new Uint32Array(this.#table.slice().buffer), (bits) => bits >>> 16);
    const from = this.#place(TABLE_NUMBERS - count / 2) & ~1;
    return new Uint8Array(this.#brain.buffer, from * 2, count);
  }

  #place(below: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % (below + 1);
  }
}

/** A tensor of a synthetic checkpoint. */
export interface SyntheticTensor {
  readonly shape: readonly number[];
  readonly scale: number;
  /** Added to every element: 1 for the weights of norms. */
  readonly offset?: number;
}

/** A checkpoint of random tensors, as f32 or bf16, generated on read. */
export function syntheticIndex(
  tensors: ReadonlyMap<string, SyntheticTensor>,
  dtype: "F32" | "BF16" = "F32",
): TensorIndex {
  const elementBytes = dtype === "F32" ? 4 : 2;
  const sizeOf = ({ shape }: SyntheticTensor): number => elementCount(shape) * elementBytes;
  const runs = new Map<string, Runs>();
  const source = bytesSource(new Uint8Array(0), "synthetic");
  return {
    entries: new Map(
      [...tensors].map(([name, tensor]) => {
        const entry = { name, dtype, shape: tensor.shape, offsetBytes: 0, lengthBytes: sizeOf(tensor) };
        return [name, { entry, source }];
      }),
    ),
    shapes: new Map([...tensors].map(([name, { shape }]) => [name, shape])),
    sizeBytes: [...tensors.values()].reduce((sum, tensor) => sum + sizeOf(tensor), 0),
    async read({ entry }, _offsetBytes, lengthBytes) {
      const { scale, offset = 0 } = tensors.get(entry.name)!;
      const kind = `${scale} ${offset}`;
      const own = runs.get(kind) ?? new Runs(runs.size + 1, scale, offset);
      runs.set(kind, own);
      return own.bytes(lengthBytes, dtype);
    },
    async close() {},
  };
}

/** Builds a layer on random weights; `tensors` are the checkpoint. The arena owns the layer's memory. */
export async function synthetic<T>(
  device: Device,
  tensors: ReadonlyMap<string, SyntheticTensor>,
  build: (root: Weights) => T,
): Promise<{ layer: T; arena: Arena }> {
  const arena = new Arena(device, "workload");
  try {
    const loader = new WeightLoader(device, syntheticIndex(tensors));
    const layer = arena.run(() => build(loader.root()));
    loader.check("synthetic", () => false);
    await loader.load({});
    return { layer, arena };
  } catch (cause) {
    arena.dispose();
    throw cause;
  }
}

const WEIGHT = 0.02;

function linear(into: Map<string, SyntheticTensor>, name: string, out: number, inner: number, bias: boolean): void {
  into.set(`${name}.weight`, { shape: [out, inner], scale: WEIGHT });
  if (bias) into.set(`${name}.bias`, { shape: [out], scale: WEIGHT });
}

/** Tensors of a SigLIP tower in checkpoint names. */
export function siglipTensors(config: {
  width: number;
  mlpWidth: number;
  layers: number;
  patchSide: number;
  cells: number;
}): Map<string, SyntheticTensor> {
  const { width, mlpWidth } = config;
  const tensors = new Map<string, SyntheticTensor>();
  tensors.set("embeddings.patch_embedding.weight", {
    shape: [width, 3, config.patchSide, config.patchSide],
    scale: WEIGHT,
  });
  tensors.set("embeddings.patch_embedding.bias", { shape: [width], scale: WEIGHT });
  tensors.set("embeddings.position_embedding.weight", { shape: [config.cells ** 2, width], scale: WEIGHT });
  for (let j = 0; j < config.layers; j++) {
    const at = `encoder.layers.${j}`;
    for (const norm of ["layer_norm1", "layer_norm2"]) {
      tensors.set(`${at}.${norm}.weight`, { shape: [width], scale: 0.1, offset: 1 });
      tensors.set(`${at}.${norm}.bias`, { shape: [width], scale: 0.1 });
    }
    for (const name of ["q_proj", "k_proj", "v_proj", "out_proj"])
      linear(tensors, `${at}.self_attn.${name}`, width, width, true);
    linear(tensors, `${at}.mlp.fc1`, mlpWidth, width, true);
    linear(tensors, `${at}.mlp.fc2`, width, mlpWidth, true);
  }
  return tensors;
}

/** Tensors of a Qwen2 decoder in checkpoint names. */
export function qwen2Tensors(config: {
  width: number;
  mlpWidth: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  headSize: number;
  vocabulary: number;
}): Map<string, SyntheticTensor> {
  const { width, mlpWidth, heads, keyValueHeads, headSize } = config;
  const tensors = new Map<string, SyntheticTensor>();
  tensors.set("embed_tokens.weight", { shape: [config.vocabulary, width], scale: WEIGHT });
  tensors.set("norm.weight", { shape: [width], scale: 0.1, offset: 1 });
  for (let i = 0; i < config.layers; i++) {
    const at = `layers.${i}`;
    tensors.set(`${at}.input_layernorm.weight`, { shape: [width], scale: 0.1, offset: 1 });
    tensors.set(`${at}.post_attention_layernorm.weight`, { shape: [width], scale: 0.1, offset: 1 });
    linear(tensors, `${at}.self_attn.q_proj`, heads * headSize, width, true);
    linear(tensors, `${at}.self_attn.k_proj`, keyValueHeads * headSize, width, true);
    linear(tensors, `${at}.self_attn.v_proj`, keyValueHeads * headSize, width, true);
    linear(tensors, `${at}.self_attn.o_proj`, width, heads * headSize, false);
    linear(tensors, `${at}.mlp.gate_proj`, mlpWidth, width, false);
    linear(tensors, `${at}.mlp.up_proj`, mlpWidth, width, false);
    linear(tensors, `${at}.mlp.down_proj`, width, mlpWidth, false);
  }
  return tensors;
}
