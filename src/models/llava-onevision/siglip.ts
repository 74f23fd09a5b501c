import { BidirectionalAttention } from "../../layers/attention.js";
import { MLP } from "../../layers/mlp.js";
import { LayerNorm } from "../../layers/norm.js";
import { PatchEmbedding } from "../../layers/patch-embedding.js";
import type { Weights } from "../../layers/weights.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { VisionConfig } from "./config.js";

/** One pre-norm encoder layer: bidirectional attention and MLP, each with LayerNorm and residual connection. */
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

  /** x `[N·P, D]` → `[N·P, D]` */
  forward(x: Tensor, tiles: number): Tensor {
    const attended = this.attention.forward(this.norm1.forward(x), tiles, x);
    return this.mlp.forward(this.norm2.forward(attended), attended);
  }
}

/** The SigLIP vision tower (arXiv 2303.15343) without its final LayerNorm: the features are the last layer's output. */
export class SigLIP {
  readonly embeddings: PatchEmbedding;
  readonly layers: SigLIPLayer[];

  constructor(
    weights: Weights,
    readonly config: VisionConfig,
    levels: Tensor,
  ) {
    this.embeddings = new PatchEmbedding(
      weights.at("embeddings"),
      config.width,
      config.patchSide,
      config.cells,
      levels,
    );
    this.layers = Array.from(
      { length: config.layers },
      (_, j) => new SigLIPLayer(weights.at(`encoder.layers.${j}`), config),
    );
  }

  /** pixels `[N, S, S, 3]` u8 → features `[N·P, D]` */
  forward(pixels: Tensor): Tensor {
    const { device } = pixels;
    const tiles = pixels.size(0);
    const embedded = device.scope(() => this.embeddings.forward(pixels)); // [N·P, D]
    device.tap?.("vision.patches", embedded);
    return device.steps(embedded, this.layers, (x, layer, j) => {
      const y = layer.forward(x, tiles);
      device.tap?.(`vision.blocks.${j}`, y);
      return y;
    });
  }
}
