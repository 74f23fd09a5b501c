import { BidirectionalAttention } from "../../layers/attention.js";
import type { Gradients } from "../../layers/gradients.js";
import { type LayerPlan, LayerStore } from "../../layers/layer-store.js";
import { MLP } from "../../layers/mlp.js";
import { LayerNorm } from "../../layers/norm.js";
import { PatchEmbedding } from "../../layers/patch-embedding.js";
import type { Weights } from "../../layers/weights.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { VisionConfig } from "./config.js";

/**
 * One pre-norm encoder layer:
 *
 *     h = x + attention(LayerNorm₁(x))
 *     y = h + mlp(LayerNorm₂(h))
 *
 * The attention is bidirectional, within each tile. Both additions are fused into the epilogue of the last projection of the block
 * (`out_proj`, `fc2`), so the residual is passed to it.
 */
export class SigLIPLayer {
  readonly norm1: LayerNorm;
  readonly attention: BidirectionalAttention;
  readonly norm2: LayerNorm;
  readonly mlp: MLP;

  constructor(weights: Weights, config: VisionConfig) {
    const { width, heads, mlpWidth, layerNormEps } = config;
    this.norm1 = new LayerNorm(weights.at("layer_norm1"), width, layerNormEps);
    this.attention = new BidirectionalAttention(weights.at("self_attn"), width, heads);
    this.norm2 = new LayerNorm(weights.at("layer_norm2"), width, layerNormEps);
    this.mlp = new MLP(weights.at("mlp"), width, mlpWidth);
  }

  /** x `[N·P, D]` → y `[N·P, D]` for N tiles of P patches. */
  forward(x: Tensor, tiles: number): Tensor {
    const h = this.attention.forward(this.norm1.forward(x), tiles, x); // x + attention(LayerNorm₁(x)), [N·P, D]
    return this.mlp.forward(this.norm2.forward(h), h); // h + mlp(LayerNorm₂(h)), [N·P, D]
  }

  /** x `[N·P, D]` and the gradient dy `[N·P, D]` of y → dx `[N·P, D]`, in the place of dy. */
  backward(x: Tensor, tiles: number, dy: Tensor, gradients: Gradients): Tensor {
    const normed1 = this.norm1.forward(x); // [N·P, D]
    const h = this.attention.forward(normed1, tiles, x); // [N·P, D]
    const dh = this.norm2.backward(h, this.mlp.backward(this.norm2.forward(h), dy, gradients), gradients, dy); // [N·P, D]
    return this.norm1.backward(x, this.attention.backward(normed1, tiles, dh, gradients), gradients, dh); // [N·P, D]
  }
}

/**
 * The SigLIP vision tower (arXiv 2303.15343), a vision transformer without class token:
 * `features = layer_L(… layer_1(W·patches + b + positions))`. The features are the last layer's output; the final LayerNorm of the
 * checkpoint is not applied.
 */
export class SigLIP {
  readonly embeddings: PatchEmbedding;
  readonly store: LayerStore<SigLIPLayer>;

  /** `plan`: which layers stay on the device; all if not given. */
  constructor(
    weights: Weights,
    readonly config: VisionConfig,
    levels: Tensor,
    plan?: LayerPlan,
  ) {
    this.embeddings = new PatchEmbedding(
      weights.at("embeddings"),
      config.width,
      config.patchSide,
      config.cells,
      levels,
    );
    this.store = new LayerStore(
      weights,
      config.layers,
      (own, j) => new SigLIPLayer(own.at(`encoder.layers.${j}`), config),
      plan,
    );
  }

  get layers(): readonly SigLIPLayer[] {
    return this.store.layers;
  }

  /** pixels `[N, S, S, 3]` u8 → features `[N·P, D]`, with layers that are all on the device; `passTower` waits for those that stream. */
  forward(pixels: Tensor): Tensor {
    const { device } = pixels;
    const tiles = pixels.size(0);
    const embedded = device.scope(() => this.embeddings.forward(pixels)); // [N·P, D]
    device.tap?.("vision.patches", embedded);
    // x⁽ʲ⁺¹⁾ = layer_j(x⁽ʲ⁾), [N·P, D] throughout.
    return device.steps(embedded, this.layers, (x, layer, j) => {
      const y = layer.forward(x, tiles);
      device.tap?.(`vision.blocks.${j}`, y);
      return y;
    });
  }

  /** pixels as in `forward` and the gradient dy `[N·P, D]` of the features: adds the gradients of the weights. dy is overwritten. */
  backward(pixels: Tensor, dy: Tensor, gradients: Gradients): void {
    const tiles = pixels.size(0);
    const { device } = pixels;
    const inputs = [device.scope(() => this.embeddings.forward(pixels))]; // [N·P, D] each
    for (const layer of this.layers.slice(0, -1)) {
      inputs.push(device.scope(() => layer.forward(inputs.at(-1)!, tiles)));
    }
    let dx = dy;
    for (let j = this.layers.length - 1; j >= 0; j--) {
      const after = dx;
      dx = device.scope(() => this.layers[j]!.backward(inputs[j]!, tiles, after, gradients));
    }
    device.scope(() => this.embeddings.backward(pixels, dx, gradients));
  }
}
