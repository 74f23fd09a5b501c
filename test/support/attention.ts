import { attention as reference } from "../../src/bench/reference/attention.js";
import { type AttentionShape, attention } from "../../src/kernels/attention.js";
import type { Device } from "../../src/runtime/device.js";
import { expectClose } from "./compare.js";
import { result } from "./device.js";
import { normals } from "./random.js";

/** Attention of random queries to random keys and values, compared with the float64 loop; a `scale` over 1 makes it steep. */
export async function checkAttention(device: Device, shape: AttentionShape, scale = 1): Promise<void> {
  const { batches, queries, keys, heads, keyValueHeads, headSize } = shape;
  const q = normals(batches * queries * heads * headSize, 1, scale);
  const k = normals(batches * keys * keyValueHeads * headSize, 2, scale);
  const v = normals(batches * keys * keyValueHeads * headSize, 3);
  const y = await result(device, () => {
    const [qt, kt, vt] = [
      device.upload(q, [batches * queries, heads * headSize], "q"),
      device.upload(k, [batches * keys, keyValueHeads * headSize], "k"),
      device.upload(v, [batches * keys, keyValueHeads * headSize], "v"),
    ];
    return attention({ tensor: qt, first: 0 }, { tensor: kt, first: 0 }, { tensor: vt, first: 0 }, shape, "y");
  });
  const { causalFrom, kvSplits: _, ...sizes } = shape;
  expectClose(
    y,
    reference(q, k, v, { ...sizes, ...(causalFrom !== undefined && { causalFrom }) }),
    scale > 1 ? "steep" : "kernel",
  );
}

/** Attention of every patch to every patch, as SigLIP computes it. */
export function ofPatches(patches: number, batches: number, heads = 2): AttentionShape {
  return { batches, queries: patches, keys: patches, heads, keyValueHeads: heads, headSize: 72 };
}

/** Causal grouped-query attention after `cached` tokens, as Qwen2 computes it. */
export function causal(queries: number, cached: number, headSize: number): AttentionShape {
  const keys = cached + queries;
  return { batches: 1, queries, keys, heads: 14, keyValueHeads: 2, headSize, causalFrom: cached };
}
