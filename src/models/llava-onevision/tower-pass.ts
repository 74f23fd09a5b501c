import { unlessAborted } from "../../base/abort.js";
import { throwIfAborted } from "../../base/errors.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { PassOptions } from "./pass-options.js";
import type { Projector } from "./projector.js";
import type { SigLIP } from "./siglip.js";

/**
 * A pass over layers of the vision tower that stream: waits for each layer's weights, and records at most one layer beyond the one that the
 * device computes. Tiles `[count, S, S, 3]` RGB8 → features `[n·P, D_vision]`, projected by `projector` if it is given. Throws CheckpointError,
 * SourceError, AbortedError.
 */
export async function passTower(
  { store, embeddings, layers, config }: SigLIP,
  projector: Projector | undefined,
  tiles: Uint8Array,
  count: number,
  { owner, where, signal, check, around = (work) => work() }: PassOptions,
): Promise<Tensor> {
  const { device } = owner;
  const record = (layer: number, next: () => Tensor, name?: string): Tensor => {
    let y: Tensor | undefined;
    around(() => {
      y = owner.run(() => device.scope(next));
      if (name) device.tap?.(name, y);
    }, layer);
    return y!;
  };
  const work = async (): Promise<Tensor> => {
    check?.();
    const { tileSide } = config;
    const embed = (): Tensor => embeddings.forward(device.upload(tiles, [count, tileSide, tileSide, 3], "pixels"));
    let x = record(-1, embed, "vision.patches"); // [n·P, D_vision]
    let computed: Promise<void> = Promise.resolve();
    for (const [j, layer] of layers.entries()) {
      await unlessAborted(store.ready(j), signal, where);
      throwIfAborted(signal, where);
      check?.();
      const input = x;
      x = record(j, () => layer.forward(input, count), `vision.blocks.${j}`);
      input.dispose();
      store.used(j);
      const before = computed;
      computed = device.sync();
      computed.catch(() => {}); // thrown where it is awaited
      await unlessAborted(before, signal, where);
    }
    if (!projector) return x;
    const projected = record(layers.length, () => projector.forward(x)); // [n·P, D]
    x.dispose();
    return projected;
  };
  return store.pass(work, signal, where);
}
