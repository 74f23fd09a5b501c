import type { Parameter } from "../layers/gradients.js";
import type { Linear } from "../layers/linear.js";
import type { Network } from "../models/llava-onevision/network.js";
import type { Layout } from "../models/llava-onevision/tensor-names.js";
import type { Tensor } from "../runtime/tensor.js";

/** The parts of the model that are trained together, each with a learning rate. */
export type TrainedPart = "vision" | "projector" | "language";
/** Where a weight belongs; the newline vector is trained with the language model, but only pictures and clips give it a gradient. */
export type WeightPart = TrainedPart | "newline" | "lora";

/** A weight that the optimiser updates. */
export interface TrainedWeight {
  readonly parameter: Parameter;
  readonly part: WeightPart;
  /** The weight is stored as this multiple of what is optimised (1): B of LoRA. */
  readonly scale?: number;
  /** Parts of the rows and of the ranks of B in a fused layer; elsewhere it has no parameters. */
  readonly rankBlocks?: { readonly partOfRow: Tensor; readonly partOfRank: Tensor } | undefined;
}

/** A stored tensor of the checkpoint, and where it is in the model's parameters. */
export interface NamedParameter {
  /** Name in the checkpoint. */
  readonly name: string;
  readonly part: WeightPart;
  readonly parameter: Parameter;
  /** Rows of the parameter that it has; all if not given. */
  readonly first?: number;
  readonly rows?: number;
  /** 0 or 1: its rows alternate with another tensor's, in blocks of 8. */
  readonly woven?: 0 | 1;
}

/** All tensors of a checkpoint that can be trained, in the order of the forward pass. */
export function parametersOf(network: Network, layout: Layout): NamedParameter[] {
  const { vision, projector, language, newline, config } = network;
  const all: NamedParameter[] = [];
  const add = (part: WeightPart, name: string, parameter: Parameter, more: Partial<NamedParameter> = {}): void => {
    all.push({ name, part, parameter, ...more });
  };
  const linear = (
    part: TrainedPart,
    prefix: string,
    layer: Linear,
    parts: readonly (readonly [name: string, rows: number])[],
  ): void => {
    let first = 0;
    for (const [name, rows] of parts) {
      add(part, `${prefix}${name}.weight`, layer.weight, { first, rows });
      if (layer.bias) add(part, `${prefix}${name}.bias`, layer.bias, { first, rows });
      first += rows;
    }
  };
  const { embeddings } = vision;
  add("vision", `${layout.vision}.embeddings.patch_embedding.weight`, embeddings.weight);
  add("vision", `${layout.vision}.embeddings.patch_embedding.bias`, embeddings.bias);
  add("vision", `${layout.vision}.embeddings.position_embedding.weight`, embeddings.positions);
  const [wide, hidden] = [config.vision.width, config.vision.mlpWidth];
  for (const [i, { norm1, norm2, attention, mlp }] of vision.layers.entries()) {
    const at = `${layout.vision}.encoder.layers.${i}.`;
    for (const [name, norm] of [
      ["layer_norm1", norm1],
      ["layer_norm2", norm2],
    ] as const) {
      add("vision", `${at}${name}.weight`, norm.weight);
      add("vision", `${at}${name}.bias`, norm.bias);
    }
    linear("vision", `${at}self_attn.`, attention.qkv, [
      ["q_proj", wide],
      ["k_proj", wide],
      ["v_proj", wide],
    ]);
    linear("vision", `${at}self_attn.`, attention.out, [["out_proj", wide]]);
    linear("vision", `${at}mlp.`, mlp.fc1, [["fc1", hidden]]);
    linear("vision", `${at}mlp.`, mlp.fc2, [["fc2", wide]]);
  }
  const { width, heads, keyValueHeads, headSize, mlpWidth, vocabulary } = config.text;
  linear("projector", "", projector.linear1, [[layout.projector[0], width]]);
  linear("projector", "", projector.linear2, [[layout.projector[1], width]]);
  add("newline", layout.newline, newline);
  add("language", `${layout.language}.embed_tokens.weight`, language.embedding.table);
  for (const [i, { inputNorm, postNorm, attention, mlp }] of language.layers.entries()) {
    const at = `${layout.language}.layers.${i}.`;
    add("language", `${at}input_layernorm.weight`, inputNorm.weight);
    const [q, kv] = [heads * headSize, keyValueHeads * headSize];
    linear("language", `${at}self_attn.`, attention.qkv, [
      ["q_proj", q],
      ["k_proj", kv],
      ["v_proj", kv],
    ]);
    linear("language", `${at}self_attn.`, attention.out, [["o_proj", width]]);
    add("language", `${at}post_attention_layernorm.weight`, postNorm.weight);
    for (const woven of [0, 1] as const) {
      add("language", `${at}mlp.${woven === 0 ? "gate" : "up"}_proj.weight`, mlp.gateUp.weight, {
        woven,
        rows: mlpWidth,
      });
    }
    linear("language", `${at}mlp.`, mlp.down, [["down_proj", width]]);
  }
  add("language", `${layout.language}.norm.weight`, language.norm.weight);
  if (language.head) linear("language", "", language.head, [[layout.head!, vocabulary]]);
  return all;
}

/** The weights of parts of the model, for an optimiser. */
export function weightsOf(network: Network, layout: Layout, parts: ReadonlySet<TrainedPart>): TrainedWeight[] {
  const own = parametersOf(network, layout).filter(({ part }) => part !== "lora" && parts.has(partOf(part)));
  return [...new Map(own.map(({ parameter, part }) => [parameter, { parameter, part }])).values()];
}

/** The part whose learning rate a weight has: the newline vector counts as language, as in the family's training code. */
function partOf(part: Exclude<WeightPart, "lora">): TrainedPart {
  return part === "newline" ? "language" : part;
}

/** Row of the parameter in which row `row` of a stored tensor is. */
export function storedRow({ first = 0, woven }: NamedParameter, row: number): number {
  return woven === undefined ? first + row : Math.floor(row / 8) * 16 + 8 * woven + (row % 8);
}

/** Picks the rows of a stored tensor from the values `[rows, inner]` of its parameter. */
export function rowsOf(named: NamedParameter, values: Float32Array, inner: number): Float32Array {
  const { rows } = named;
  if (rows === undefined) return values;
  const own = new Float32Array(rows * inner);
  for (let row = 0; row < rows; row++) {
    const at = storedRow(named, row) * inner;
    own.set(values.subarray(at, at + inner), row * inner);
  }
  return own;
}
