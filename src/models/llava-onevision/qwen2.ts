import { CausalAttention } from "../../layers/attention.js";
import { Embedding } from "../../layers/embedding.js";
import type { Gradients } from "../../layers/gradients.js";
import { LayerStore } from "../../layers/layer-store.js";
import { Linear } from "../../layers/linear.js";
import type { Adapters } from "../../layers/low-rank.js";
import { GatedMLP } from "../../layers/mlp.js";
import { RMSNorm } from "../../layers/norm.js";
import { Rotary } from "../../layers/rotary.js";
import { type SequenceRows, tablesOf } from "../../layers/sequence-rows.js";
import type { StreamedTables } from "../../layers/streamed-tables.js";
import type { Weights } from "../../layers/weights.js";
import type { Arena } from "../../runtime/arena.js";
import type { Device } from "../../runtime/device.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { TextConfig } from "./config.js";
import type { ModelPlan } from "./model-plan.js";

/**
 * One pre-norm decoder layer:
 *
 *     h = x + attention(RMSNorm₁(x))
 *     y = h + mlp(RMSNorm₂(h))
 *
 * Both norms are fused into the projection that follows them, both additions into the epilogue of the last projection of the block
 * (`o_proj`, `down_proj`), so neither is an operation of its own here.
 */
export class Qwen2Layer {
  readonly inputNorm: RMSNorm;
  readonly attention: CausalAttention;
  readonly postNorm: RMSNorm;
  readonly mlp: GatedMLP;

  constructor(weights: Weights, config: TextConfig, rotary: Rotary, layer: number) {
    this.inputNorm = new RMSNorm(weights.at("input_layernorm"), config.width, config.rmsNormEps);
    this.attention = new CausalAttention(weights.at("self_attn"), config, rotary, layer);
    this.postNorm = new RMSNorm(weights.at("post_attention_layernorm"), config.width, config.rmsNormEps);
    this.mlp = new GatedMLP(weights.at("mlp"), config.width, config.mlpWidth);
  }

  /** x `[T, D]` → y `[T, D]`. Appends the keys and values of x to the caches. */
  forward(x: Tensor, sequences: readonly SequenceRows[], tables = tablesOf(sequences)): Tensor {
    const h = this.attention.forward(x, this.inputNorm, sequences, tables); // x + attention(RMSNorm₁(x)), [T, D]
    return this.mlp.forward(h, this.postNorm); // h + mlp(RMSNorm₂(h)), [T, D]
  }

  /** x `[T, D]` of a whole sequence, h as in `forward`, and the gradient dy `[T, D]` of y → dx `[T, D]`, in the place of dy. */
  backward(x: Tensor, h: Tensor, dy: Tensor, gradients: Gradients): Tensor {
    const dh = this.mlp.backward(h, dy, this.postNorm, gradients); // [T, D]
    return this.attention.backward(x, dh, this.inputNorm, gradients); // [T, D]
  }
}

/** What a model does with layers that stream, whichever they are. */
export type StreamingStore = Pick<LayerStore<unknown>, "slots" | "prepare" | "close">;

/** A contiguous run of layers on one device: a stage of pipeline parallelism. */
export interface Stage {
  readonly device: Device;
  readonly layers: number;
}

/** A stage on another device than the tables, before it is loaded. */
export interface StageWeights extends Stage {
  /** The decoder's weights, for that device. */
  readonly weights: Weights;
  /** Owns what the stage has on its device. */
  readonly arena: Arena;
}

/**
 * The Qwen2 decoder (arXiv 2407.10671): `logits = W_head·RMSNorm(layer_L(… layer_1(x)))`, x the embedded tokens.
 * `head` is undefined if the output head is tied to the embedding table.
 */
export class Qwen2 {
  /** Undefined where the tables are not on the device. */
  readonly #embedding: Embedding | undefined;
  readonly store: LayerStore<Qwen2Layer>;
  /** The embedding table and the head, where they are read when they are needed. */
  readonly tables: StreamedTables | undefined;
  /** Where the layers are; the first stage's device has everything else. */
  readonly stages: readonly Stage[];
  readonly norm: RMSNorm;
  readonly head: Linear | undefined;
  readonly adapters: Adapters;

  constructor(
    weights: Weights,
    /** `weights` with the storage dtype of the embedding table. */
    tables: Weights,
    head: { weights: Weights; name: string } | undefined,
    readonly config: TextConfig,
    /** Which layers stay on the device; all if not given. */
    plan?: ModelPlan,
    /** The last layers, on other devices. */
    others: readonly StageWeights[] = [],
  ) {
    this.adapters = weights.adapters;
    const elsewhere = others.reduce((sum, { layers }) => sum + layers, 0);
    this.stages = [{ device: weights.device, layers: config.layers - elsewhere }, ...others];
    const rotary = rotaryOn(weights.device, config);
    const table = tables.at("embed_tokens");
    const { vocabulary, width } = config;
    this.tables = plan?.everything?.(table, head, vocabulary, width);
    this.#embedding = this.tables ? undefined : new Embedding(table, vocabulary, width);
    const later = others.flatMap((stage) => layersOf(stage, config));
    let store: LayerStore<Qwen2Layer> | undefined;
    try {
      store = new LayerStore(
        weights,
        config.layers,
        // KV caches count layers from the first of a device.
        (own, i) => later[i - this.stages[0]!.layers]?.(i) ?? new Qwen2Layer(own.at(`layers.${i}`), config, rotary, i),
        plan,
      );
      this.store = store;
      this.norm = new RMSNorm(weights.at("norm"), config.width, config.rmsNormEps);
      const parts = !this.tables && head && [{ name: head.name, columns: vocabulary }];
      this.head = parts ? new Linear(head.weights, width, parts, { bias: false }) : undefined;
    } catch (cause) {
      // Their slots are not the current arena's.
      void this.tables?.head.store.close();
      void store?.close();
      throw cause;
    }
  }

  get layers(): readonly Qwen2Layer[] {
    return this.store.layers;
  }

  /** The embedding table on the device. Where the tables are not there, `tables` has its rows. */
  get embedding(): Embedding {
    return this.#embedding!;
  }

  /** What passes through the device. */
  get stores(): readonly StreamingStore[] {
    return this.tables ? [this.store, this.tables.head.store] : [this.store];
  }

  /** Selects the adapters of what is recorded next: those of the first sequence, which all sequences have. */
  select(sequences: readonly SequenceRows[]): void {
    this.adapters.use(sequences[0]!.cache.adapters);
  }

  /**
   * x `[T, D]`, the rows of the sequences one after the other, at the positions that follow their caches' → hidden `[T, D]` after the
   * final norm. Appends to the caches. All sequences have the adapters of the first. For layers that are all on the device; `passLayers`
   * waits for those that stream.
   */
  forward(x: Tensor, sequences: readonly SequenceRows[]): Tensor {
    const { device } = x;
    this.select(sequences);
    const tables = tablesOf(sequences);
    // x⁽ⁱ⁺¹⁾ = layer_i(x⁽ⁱ⁾), [T, D] throughout.
    const last = device.steps(x, this.layers, (h, layer, i) => {
      const y = layer.forward(h, sequences, tables);
      device.tap?.(`blocks.${i}`, y);
      return y;
    });
    for (const { cache, rows } of sequences) cache.length += rows;
    return this.normed(last);
  }

  /** The final norm: x `[T, D]` → `[T, D]` */
  normed(x: Tensor): Tensor {
    const hidden = this.norm.forward(x); // [T, D]
    x.device.tap?.("norm", hidden);
    return hidden;
  }

  /** hidden `[T, D]` → logits `[T, V]`, with a head that is on the device. */
  logits(hidden: Tensor): Tensor {
    const y = this.head ? this.head.forward(hidden) : this.embedding.logits(hidden);
    hidden.device.tap?.("logits", y);
    return y;
  }
}

function rotaryOn(device: Device, { headSize, ropeTheta, maxPositions }: TextConfig): Rotary {
  return new Rotary(device, headSize, ropeTheta, maxPositions);
}

/** Makers of a stage's layers, which take the number of a layer in the decoder. */
function layersOf({ weights, arena, layers }: StageWeights, config: TextConfig): ((layer: number) => Qwen2Layer)[] {
  const rotary = arena.run(() => rotaryOn(weights.device, config));
  return Array.from({ length: layers }, (_, own) => (layer) => {
    return arena.run(() => new Qwen2Layer(weights.at(`layers.${layer}`), config, rotary, own));
  });
}
