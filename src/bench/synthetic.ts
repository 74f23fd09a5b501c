import { bytesSource } from "../io/source.js";
import type { TensorIndex } from "../io/tensor-index.js";
import { WeightLoader, type Weights } from "../io/weights.js";
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

/** A tensor of a made-up checkpoint. */
export interface SyntheticTensor {
  readonly shape: readonly number[];
  readonly scale: number;
  /** Added to every element: 1 for the weights of norms. */
  readonly offset?: number;
}

/** Builds a layer on random weights; `tensors` are the checkpoint, f32. The arena owns what the layer holds. */
export async function synthetic<T>(
  device: Device,
  tensors: ReadonlyMap<string, SyntheticTensor>,
  build: (root: Weights) => T,
): Promise<{ layer: T; arena: Arena }> {
  const arena = new Arena(device, "workload");
  let seed = 1;
  const index: TensorIndex = {
    entries: new Map(
      [...tensors].map(([name, { shape }]) => {
        const lengthBytes = elementCount(shape) * 4;
        const entry = { name, dtype: "F32" as const, shape, offsetBytes: 0, lengthBytes };
        return [name, { entry, source: bytesSource(new Uint8Array(0), "synthetic") }];
      }),
    ),
    shapes: new Map([...tensors].map(([name, { shape }]) => [name, shape])),
    sizeBytes: 0,
    async read({ entry }, _offsetBytes, lengthBytes) {
      const { scale, offset = 0 } = tensors.get(entry.name)!;
      const numbers = normals(lengthBytes / 4, ++seed, scale);
      if (offset) for (let i = 0; i < numbers.length; i++) numbers[i]! += offset;
      return new Uint8Array(numbers.buffer);
    },
    async close() {},
  };
  try {
    const loader = new WeightLoader(device, index);
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
