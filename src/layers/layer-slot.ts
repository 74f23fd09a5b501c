import { CheckpointError } from "../base/errors.js";
import { Arena } from "../runtime/arena.js";
import type { Block } from "../runtime/pool.js";

/**
 * Memory on the device that the weights of several layers of one shape use, one layer at a time: each layer's allocations are given the
 * blocks of the first layer's, in the same order.
 */
export class LayerSlot extends Arena {
  readonly #blocks: Block[] = [];
  #next = 0;

  /** Begins with the first block again: for the allocations of another layer. */
  rewind(): void {
    this.#next = 0;
  }

  /** Throws CheckpointError for a layer whose weights are larger than the first layer's. */
  override acquire(sizeBytes: number, label: string): Block {
    let block = this.#blocks[this.#next];
    if (!block) {
      block = super.acquire(sizeBytes, label);
      this.#blocks.push(block);
    }
    if (block.sizeBytes < sizeBytes) {
      throw new CheckpointError({
        where: label,
        expected: `at most ${block.sizeBytes} bytes, as in other layers: streamed layers use the same memory`,
        got: `${sizeBytes} bytes`,
        remedy: 'load it with one dtype for all layers, such as dtype "q8", or with weights "resident"',
      });
    }
    this.#next++;
    return block;
  }
}
