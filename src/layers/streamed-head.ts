import { unlessAborted } from "../base/abort.js";
import { throwIfAborted } from "../base/errors.js";
import { matmul } from "../kernels/matmul.js";
import { PANEL, PackedMatrix } from "../kernels/packed.js";
import type { Arena } from "../runtime/arena.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { LayerStore } from "./layer-store.js";
import type { Weights } from "./weights.js";

/** Bytes of a block, about: one is computed while the next is read. */
const BLOCK_BYTES = 32 * 1024 * 1024;
/** Small tables have smaller blocks. */
const FEWEST_BLOCKS = 4;
/** Blocks that the device has room for. */
const SLOTS = 2;

/** Options of a product whose blocks are waited for. */
export interface HeadOptions {
  /** Owns the result. */
  readonly owner: Arena;
  /** Names the product in AbortedError. */
  readonly where: string;
  readonly signal?: AbortSignal | undefined;
  /** Throws if the model was disposed or the device has failed; called before each block. */
  readonly check?: (() => void) | undefined;
}

/**
 * The output head `y = x·Wᵀ` of a table `[V, D]` that is not on the device: blocks of rows pass through it, those of the next product's beginning
 * ready. The sums are those of `Linear`, bit by bit.
 */
export class StreamedHead {
  readonly store: LayerStore<PackedMatrix>;
  readonly device: Device;

  /** `name`: of the table in the checkpoint, also of an embedding table that is the head too. */
  constructor(
    weights: Weights,
    name: string,
    readonly columns: number,
    inner: number,
  ) {
    const { device } = weights;
    this.device = device;
    const type = weights.typeOf(name);
    const path = weights.path(name);
    const panels = Math.ceil(columns / PANEL);
    const fitting = Math.floor(BLOCK_BYTES / PackedMatrix.panelBytes(inner, type));
    const step = Math.max(1, Math.min(fitting, Math.ceil(panels / FEWEST_BLOCKS))) * PANEL;
    this.store = new LayerStore(
      weights,
      Math.ceil(columns / step),
      (own, i) => {
        const rows = { first: i * step, count: Math.min(step, columns - i * step) };
        const matrix = own.allocate(() => PackedMatrix.allocate(device, rows.count, inner, type, path));
        own.streamRows(name, [columns, inner], matrix, rows);
        const blocks = matrix.blocks.map((block) => ({ ...block, firstColumn: block.firstColumn + rows.first }));
        return new PackedMatrix(columns, inner, type, path, blocks);
      },
      { resident: 0, slots: SLOTS },
    );
  }

  /** Bytes that a product uploads. */
  get sizeBytes(): number {
    return this.store.layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** x `[T, D]` → `[T, V]`. Products of all callers take turns. Throws CheckpointError, SourceError, AbortedError. */
  async forward(x: Tensor, { owner, where, signal, check }: HeadOptions): Promise<Tensor> {
    const { store } = this;
    const work = async (): Promise<Tensor> => {
      check?.();
      const y = owner.run(() => this.#result(x));
      for (const block of store.layers.keys()) {
        await unlessAborted(store.ready(block), signal, where);
        throwIfAborted(signal, where);
        check?.();
        owner.run(() => this.#record(x, block, y));
        store.used(block);
      }
      return y;
    };
    return store.pass(work, signal, where);
  }

  /** Records what `forward` records without waiting for blocks: to count memory, and to compile. */
  recorded(x: Tensor): Tensor {
    const y = this.#result(x);
    for (const block of this.store.layers.keys()) this.#record(x, block, y);
    return y;
  }

  #result(x: Tensor): Tensor {
    return this.device.empty([x.size(0), this.columns], "f32", "logits");
  }

  #record(x: Tensor, block: number, y: Tensor): void {
    this.device.scope(() => void matmul(x, this.store.layers[block]!, {}, "logits", y));
  }
}
