import { DisposedError } from "../base/errors.js";
import type { Device } from "./device.js";
import type { Block, BlockOwner } from "./pool.js";
import { Tensor } from "./tensor.js";

/**
 * Owns the memory of the tensors that are allocated while it is current. A Model has one for its weights, a Session one for its
 * cache; `device.scope` creates one that ends with the function.
 * @example
 * ```ts
 * const arena = device.arena("weights");
 * const w = arena.run(() => packMatrix(device, new Float32Array(6), [2, 3], "w"));
 * arena.dispose(); // frees w
 * ```
 */
export class Arena implements BlockOwner {
  readonly blocks = new Set<Block>();
  #disposed = false;

  constructor(
    readonly device: Device,
    readonly label: string,
  ) {}

  /** Runs `make` with this arena as the owner of its allocations. Synchronous. Throws DisposedError. */
  run<T>(make: () => T): T {
    if (this.#disposed) {
      throw new DisposedError({
        where: this.label,
        expected: "to be in use",
        got: "disposed",
        remedy: "create a new one",
      });
    }
    return this.device.within(this, make);
  }

  /** Returns the memory of an allocation, for the device. */
  acquire(sizeBytes: number, label: string): Block {
    return this.device.pool.acquire(sizeBytes, label);
  }

  /** Takes over the memory of every tensor in `value` (a tensor, an array or a plain object of them). */
  adopt(value: unknown): void {
    for (const tensor of tensorsIn(value)) {
      const { block } = tensor;
      if (block.owner === undefined || block.owner === this) continue;
      block.owner.blocks.delete(block);
      block.owner = this;
      this.blocks.add(block);
    }
  }

  /** Returns all memory to the pool. */
  dispose(): void {
    this.#disposed = true;
    for (const block of this.blocks) {
      block.owner = undefined;
      this.device.pool.release(block);
    }
    this.blocks.clear();
  }
}

/** The tensors reachable through arrays and objects that hold tensors directly. */
export function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (Array.isArray(value)) for (const item of value) yield* tensorsIn(item);
  else if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) yield* tensorsIn(item);
  }
}
