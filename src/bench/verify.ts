import type { KVCache } from "../layers/kv-cache.js";
import type { Qwen2Layer } from "../models/llava-onevision/qwen2.js";
import type { SigLIP } from "../models/llava-onevision/siglip.js";
import { Arena } from "../runtime/arena.js";
import type { Device } from "../runtime/device.js";
import { relativeError } from "./compare.js";
import { heldMatrix, qwen2Layer, siglipLayer } from "./reference/layers.js";
import { matmul } from "./reference/matmul.js";
import { patchify } from "./reference/rows.js";
import { normals } from "./synthetic.js";

/** Rows on which layers are verified; all rows would take the float64 loops minutes. */
export const VERIFY_ROWS = 9;

/** Largest relative error of the complete patch embedding of one tile, and of the first layers on a few patches. */
export async function verifyTower(
  device: Device,
  tower: SigLIP,
  levels: Float32Array,
  layers: number,
): Promise<number> {
  const arena = new Arena(device, "verify");
  try {
    const { tileSide, patchSide, cells, width } = tower.config;
    const bytes = randomBytes(tileSide * tileSide * 3);
    const pixels = arena.run(() => device.upload(bytes, [1, tileSide, tileSide, 3], "pixels"));
    const embedded = arena.run(() => device.scope(() => tower.embeddings.forward(pixels)));
    const patches = await embedded.read();
    const { weight, bias, positions } = tower.embeddings;
    const truth = matmul(
      patchify(bytes, levels, 1, tileSide, patchSide),
      await heldMatrix(weight),
      cells * cells,
      3 * patchSide * patchSide,
      width,
      { bias: await bias.read(), residual: await positions.read() },
    );
    let worst = relativeError(patches, truth);
    let x: ArrayLike<number> = patches.slice(0, VERIFY_ROWS * width);
    let input = arena.run(() => device.upload(Float32Array.from(x), [VERIFY_ROWS, width], "x"));
    for (const one of tower.layers.slice(0, layers)) {
      x = await siglipLayer(x, one);
      const before = input;
      input = arena.run(() => device.scope(() => one.forward(before, 1)));
      worst = Math.max(worst, relativeError(await input.read(), x));
    }
    return worst;
  } finally {
    arena.dispose();
  }
}

/**
 * Largest relative error of decoder layers on a few rows: a prefill of all rows except the last, then a decode step. The cache is empty
 * before and after.
 */
export async function verifyDecoder(
  device: Device,
  stack: readonly Qwen2Layer[],
  width: number,
  cache: KVCache,
): Promise<number> {
  const numbers = normals(VERIFY_ROWS * width, 8);
  let truth: ArrayLike<number> = numbers;
  for (const one of stack) truth = await qwen2Layer(truth, one);
  cache.length = 0;
  cache.reserve(VERIFY_ROWS);
  const pass = (first: number, count: number) =>
    device.scope(() => {
      const input = device.upload(numbers.subarray(first * width, (first + count) * width), [count, width], "x");
      const y = device.steps(input, stack, (h, one) => one.forward(h, [{ cache, rows: count }]));
      cache.length += count;
      return y;
    });
  const [head, last] = [pass(0, VERIFY_ROWS - 1), pass(VERIFY_ROWS - 1, 1)];
  const got = Float32Array.from([...(await head.read()), ...(await last.read())]);
  for (const tensor of [head, last]) tensor.dispose();
  cache.length = 0;
  return relativeError(got, truth);
}

/** Bytes of a noise picture. */
export function randomBytes(count: number): Uint8Array {
  return Uint8Array.from(normals(count, 9), (v) => Math.max(0, Math.min(255, 128 + v * 60)));
}

/** Normalised levels of SigLIP's processor, `[3, 256]`. */
export function siglipLevels(): Float32Array {
  return Float32Array.from({ length: 768 }, (_, i) => (i % 256) / 127.5 - 1);
}
