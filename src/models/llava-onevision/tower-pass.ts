import { unlessAborted } from "../../base/abort.js";
import { throwIfAborted } from "../../base/errors.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { PassOptions } from "./pass-options.js";
import type { SigLIP } from "./siglip.js";

/**
 * A pass over layers of the vision tower that stream: waits for each layer's weights, and records at most one layer beyond the one that the
 * device computes. `begin` uploads the pixels `[N, S, S, 3]` when the passes before have ended. Returns the features `[N·P, D]`. Throws
 * CheckpointError, SourceError, AbortedError.
 */
export async function passTower(
  { store, embeddings, layers }: Pick<SigLIP, "store" | "embeddings" | "layers">,
  begin: () => Tensor,
  { owner, where, signal, check, around = (work) => work() }: PassOptions,
): Promise<Tensor> {
  const { device } = owner;
  const record = (layer: number, name: string, next: () => Tensor): Tensor => {
    let y: Tensor | undefined;
    around(() => {
      y = owner.run(() => device.scope(next));
      device.tap?.(name, y);
    }, layer);
    return y!;
  };
  const work = async (): Promise<Tensor> => {
    check?.();
    let tiles = 0;
    let x = record(-1, "vision.patches", () => {
      const pixels = begin();
      tiles = pixels.size(0);
      return embeddings.forward(pixels);
    }); // [N·P, D]
    let computed: Promise<void> = Promise.resolve();
    for (const [j, layer] of layers.entries()) {
      await unlessAborted(store.ready(j), signal, where);
      throwIfAborted(signal, where);
      check?.();
      const input = x;
      x = record(j, `vision.blocks.${j}`, () => layer.forward(input, tiles));
      input.dispose();
      store.used(j);
      const before = computed;
      computed = device.sync();
      computed.catch(() => {}); // thrown where it is awaited
      await unlessAborted(before, signal, where);
    }
    return x;
  };
  return store.pass(work, signal, where);
}
