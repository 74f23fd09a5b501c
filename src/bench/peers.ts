import { matmul } from "../kernels/matmul.js";
import { packMatrix } from "../kernels/pack.js";
import { Embedding } from "../layers/embedding.js";
import { KVCache } from "../layers/kv-cache.js";
import { RMSNorm } from "../layers/norm.js";
import { Rotary } from "../layers/rotary.js";
import { Qwen2Layer } from "../models/llava-onevision/qwen2.js";
import { SigLIP } from "../models/llava-onevision/siglip.js";
import { Arena } from "../runtime/arena.js";
import { relativeError } from "./compare.js";
import { heldMatrix } from "./reference/layers.js";
import { matmul as matmulReference } from "./reference/matmul.js";
import { rmsNorm as rmsNormReference } from "./reference/norm.js";
import { normals, qwen2Tensors, Runs, siglipTensors, synthetic } from "./synthetic.js";
import { randomBytes, siglipLevels, verifyDecoder, verifyTower } from "./verify.js";
import type { Prepared, Workload } from "./workload.js";

/** Workloads that other engines are also measured on, in the widths of the model family. */

const SIGLIP = {
  width: 1152,
  heads: 16,
  headSize: 72,
  layers: 2,
  mlpWidth: 4304,
  patchSide: 14,
  tileSide: 384,
  cells: 27,
  layerNormEps: 1e-6,
};

interface Decoder {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly mlpWidth: number;
}

const QWEN05B: Decoder = { width: 896, layers: 2, heads: 14, keyValueHeads: 2, headSize: 64, mlpWidth: 4864 };
const QWEN7B: Decoder = { width: 3584, layers: 1, heads: 28, keyValueHeads: 4, headSize: 128, mlpWidth: 18944 };

const gemm: Workload = {
  name: "gemm",
  what: "gelu_tanh(x·Wᵀ + b)",
  shape: "729×1152 · 1152×4304",
  kind: "product",
  readsBack: true,
  flops: 2 * 729 * 1152 * 4304,
  weights: 1152 * 4304,
  otherBytes: 4 * (729 * 1152 + 729 * 4304),
  async prepare(device, type) {
    const arena = new Arena(device, "gemm");
    const [rows, inner, columns] = [729, 1152, 4304];
    const x = normals(rows * inner, 1);
    const b = normals(columns, 3);
    const { weights, input, bias } = arena.run(() => ({
      weights: packMatrix(device, new Runs(2, 0.05).take(columns * inner), [columns, inner], "gemm", type),
      input: device.upload(x, [rows, inner], "x"),
      bias: device.upload(b, [columns], "bias"),
    }));
    const run = () => matmul(input, weights, { bias, activation: "gelu_tanh" });
    return {
      run,
      async verify() {
        const y = device.scope(run);
        const got = await y.read();
        y.dispose();
        const held = await heldMatrix(weights);
        let worst = 0;
        for (const row of [0, 15, 16, 364, 720, 728]) {
          const truth = matmulReference(x.subarray(row * inner, (row + 1) * inner), held, 1, inner, columns, {
            bias: b,
            activation: "gelu_tanh",
          });
          worst = Math.max(worst, relativeError(got.subarray(row * columns, (row + 1) * columns), truth));
        }
        return worst;
      },
      dispose: () => arena.dispose(),
    };
  },
};

const siglip: Workload = {
  name: "siglip_L2",
  what: "one tile: patch embedding, positions, 2 encoder layers",
  shape: "384×384 → 729×1152",
  kind: "rows",
  readsBack: true,
  flops: 50280984576,
  weights: 31127040,
  otherBytes: 384 * 384 * 3 + 4 * 729 * 1152,
  async prepare(device, type) {
    const levels = siglipLevels();
    const { layer, arena } = await synthetic(
      device,
      siglipTensors(SIGLIP),
      (root) => new SigLIP(root.storedAs(type), SIGLIP, device.upload(levels, [3, 256], "levels")),
    );
    const pixels = arena.run(() => device.upload(randomBytes(384 * 384 * 3), [1, 384, 384, 3], "pixels"));
    return {
      run: () => layer.forward(pixels),
      // The whole patch embedding; the layers on a few patches, which the shapes of the kernels allow.
      verify: () => verifyTower(device, layer, levels, SIGLIP.layers),
      dispose: () => arena.dispose(),
    };
  },
};

function decoder(
  name: string,
  config: Decoder,
  rows: number,
  cached: number,
  flops: number,
  weights: number,
): Workload {
  const { width, layers, keyValueHeads, headSize } = config;
  const cacheBytes = 4 * layers * 2 * keyValueHeads * headSize;
  return {
    name,
    what: `${layers} decoder layer${layers > 1 ? "s" : ""}, ${rows} row${rows > 1 ? "s" : ""}${cached ? ` after ${cached}` : ""}`,
    shape: `${rows}×${width}`,
    kind: rows === 1 ? "decode" : "rows",
    readsBack: true,
    flops,
    weights,
    otherBytes: 4 * 2 * rows * width + cacheBytes * (cached + rows),
    async prepare(device, type) {
      const text = { ...config, vocabulary: 32, maxPositions: 2048, ropeTheta: 1e6, rmsNormEps: 1e-6, tied: true };
      const tensors = qwen2Tensors(text);
      tensors.delete("embed_tokens.weight");
      tensors.delete("norm.weight");
      const { layer: stack, arena } = await synthetic(device, tensors, (root) => {
        const rotary = new Rotary(device, headSize, text.ropeTheta, text.maxPositions);
        return Array.from(
          { length: layers },
          (_, i) => new Qwen2Layer(root.storedAs(type).at(`layers.${i}`), text, rotary, i),
        );
      });
      const cache = new KVCache(device, layers, keyValueHeads * headSize);
      cache.reserve(cached + rows);
      const start = new Runs(5).take(Math.max(1, cached) * keyValueHeads * headSize);
      for (const tensor of [...cache.keys, ...cache.values]) if (cached) device.write(tensor, start);
      const x = arena.run(() => device.upload(normals(rows * width, 7), [rows, width], "x"));
      const forward = (input: typeof x) => device.steps(input, stack, (h, one) => one.forward(h, [{ cache, rows }]));
      return {
        run: () => {
          cache.length = cached;
          return forward(x);
        },
        async verify() {
          const own = new KVCache(device, layers, keyValueHeads * headSize);
          try {
            return await verifyDecoder(device, stack, width, own);
          } finally {
            own.dispose();
          }
        },
        dispose: () => {
          cache.dispose();
          arena.dispose();
        },
      };
    },
  };
}

const head: Workload = {
  name: "qwen05b_head",
  what: "final RMSNorm and head, one row",
  shape: "896 · 896×151936",
  kind: "row product",
  readsBack: true,
  flops: 272269312,
  weights: 136134656,
  otherBytes: 4 * (896 + 151936),
  async prepare(device, type): Promise<Prepared> {
    const tensors = new Map([
      ["weight", { shape: [151936, 896], scale: 0.02 }],
      ["norm.weight", { shape: [896], scale: 0.1, offset: 1 }],
    ]);
    const { layer, arena } = await synthetic(device, tensors, (root) => ({
      table: new Embedding(root.storedAs(type), 151936, 896),
      norm: new RMSNorm(root.at("norm"), 896, 1e-6),
    }));
    const numbers = normals(896, 4);
    const x = arena.run(() => device.upload(numbers, [1, 896], "x"));
    const run = () => layer.table.logits(layer.norm.forward(x));
    return {
      run,
      async verify() {
        const y = device.scope(run);
        const got = await y.read();
        y.dispose();
        const normed = rmsNormReference(numbers, await layer.norm.weight.read(), 1e-6);
        return relativeError(got, matmulReference(normed, await heldMatrix(layer.table.table), 1, 896, 151936));
      },
      dispose: () => arena.dispose(),
    };
  },
};

/** Workloads with measurements of other engines at the same sizes. */
export const PEER_WORKLOADS: readonly Workload[] = [
  gemm,
  siglip,
  decoder("qwen05b_L2_prefill729", QWEN05B, 729, 0, 45383224320, 29818880),
  decoder("qwen05b_L2_decode1024", QWEN05B, 1, 1024, 66984960, 29818880),
  head,
  decoder("qwen7b_L1_prefill256", QWEN7B, 256, 0, 119791157248, 233046016),
  decoder("qwen7b_L1_decode1024", QWEN7B, 1, 1024, 480786432, 233046016),
];
