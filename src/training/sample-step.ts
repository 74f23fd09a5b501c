import { NO_ROW } from "../kernels/scatter-rows.js";
import type { Gradients } from "../layers/gradients.js";
import type { AdapterDropout } from "../layers/low-rank.js";
import type { Network } from "../models/llava-onevision/network.js";
import type { PreparedMedium, Segment } from "../models/llava-onevision/processor.js";
import type { Tensor } from "../runtime/tensor.js";
import { embeddingStep, languageLosses, languageStep, type Supervision } from "./language-step.js";
import { packingStep } from "./packing-step.js";

/**
 * Forward and backward pass over one sample, a prompt with its answers: returns the losses `[N]` of the supervised rows, and adds the
 * gradients of `scale·Σ loss`. `sees`: which parts that media pass through are trained.
 */
export function sampleStep(
  network: Network,
  prompt: Prompt,
  supervision: Supervision,
  scale: number,
  gradients: Gradients,
  sees: { readonly vision: boolean; readonly projector: boolean; readonly newline: boolean },
  dropout?: AdapterDropout,
): Tensor {
  const { device, language, config } = network;
  const { width } = config.text;
  const { x, tokens, segments } = embedded(network, prompt);
  const { losses, dx } = languageStep(language, x, supervision, scale, gradients, dropout, prompt.adapters);
  embeddingStep(language, dx, tokens, gradients);
  if (!sees.vision && !sees.projector && !sees.newline) return losses;
  for (const { segment, first } of segments) {
    const { plan, tileCount } = segment;
    const dPacked = device.empty([plan.tokens, width], "f32", "gradient of packed");
    device.copy(dx, first * width * 4, dPacked, 0, dPacked.sizeBytes);
    const patches = config.vision.cells ** 2;
    const dProjected = packingStep(dPacked, plan, tileCount * patches, gradients.of(network.newline)); // [n·P, D]
    if (!sees.vision && !sees.projector) continue;
    eachBatch(network, segment, (tiles, firstTile, count) =>
      device.scope(() => {
        const dOwn = device.empty([count * patches, width], "f32", "gradient of projector");
        device.copy(dProjected, firstTile * patches * width * 4, dOwn, 0, dOwn.sizeBytes);
        const dFeatures = network.projector.backward(network.features(tiles, count), dOwn, gradients); // [n·P, D_vision]
        if (!sees.vision) return;
        const { tileSide } = config.vision;
        network.vision.backward(device.upload(tiles, [count, tileSide, tileSide, 3], "pixels"), dFeatures, gradients);
      }),
    );
  }
  return losses;
}

/** Forward pass over one sample: the losses `[N]` of the supervised rows. */
export function sampleLosses(
  network: Network,
  { supervision, ...prompt }: Prompt & { readonly supervision: Supervision },
): Tensor {
  return languageLosses(network.language, embedded(network, prompt).x, supervision, prompt.adapters);
}

/** The ids and media of a sample, and the adapters that it is computed with; all if not given. */
interface Prompt {
  readonly adapters?: readonly string[] | undefined;
  readonly inputIds: readonly number[];
  readonly media: readonly PreparedMedium[];
}

/** Embeds a sample: x `[T, D]`, the ids of its tokens with `NO_ROW` for visual tokens, and the segments with their first rows. */
function embedded(network: Network, prompt: Prompt) {
  const { device, language, config } = network;
  const { width, vocabulary } = config.text;
  const rows = prompt.inputIds.length;
  const segments = prompt.media.flatMap(({ segments, start }) => {
    let first = start;
    return segments.map((segment) => {
      const own = { segment, first };
      first += segment.plan.tokens;
      return own;
    });
  });
  const tokens = Uint32Array.from(prompt.inputIds, (id) => Math.min(id, vocabulary - 1));
  const x = language.embedding.forward(device.upload(tokens, [rows], "ids")); // [T, D]
  for (const { segment, first } of segments) {
    const visual = network.pack(projected(network, segment), segment.plan); // [M, D]
    device.copy(visual, 0, x, first * width * 4, visual.sizeBytes);
    tokens.fill(NO_ROW, first, first + segment.plan.tokens);
  }
  return { x, tokens, segments };
}

/** Projected features of a segment's tiles, some tiles at a time. */
function projected(network: Network, segment: Segment): { first: number; tensor: Tensor }[] {
  const pieces: { first: number; tensor: Tensor }[] = [];
  const patches = network.config.vision.cells ** 2;
  eachBatch(network, segment, (tiles, firstTile, count) => {
    pieces.push({ first: firstTile * patches, tensor: network.project(tiles, count) });
  });
  return pieces;
}

function eachBatch(
  network: Network,
  { tiles, tileCount }: Segment,
  work: (tiles: Uint8Array, first: number, count: number) => void,
): void {
  const bytes = tiles.length / tileCount;
  const most = network.tilesPerBatch;
  for (let first = 0; first < tileCount; first += most) {
    const count = Math.min(most, tileCount - first);
    work(tiles.subarray(first * bytes, (first + count) * bytes), first, count);
  }
}
