import type { Kernel } from "./kernel.js";
import type { Pipeline } from "./pipelines.js";
import type { Block } from "./pool.js";
import type { Tensor } from "./tensor.js";

/**
 * Maximum number of cached groups. When reached, all are dropped: programs that keep creating tensors must not accumulate
 * groups.
 */
const MOST_GROUPS = 4096;

interface Made {
  readonly pipeline: Pipeline;
  readonly blocks: readonly Block[];
  readonly sizes: readonly number[];
  readonly offsets: readonly number[];
  readonly group: GPUBindGroup;
}

/**
 * A cache of bind groups by pipeline and buffers: creating one costs more than the rest of recording a dispatch, and the pool gives
 * the same buffers to the same kernels token after token. Looked up by a numeric hash, so that a hit allocates nothing.
 */
export class BindGroups {
  readonly #made = new Map<number, Made>();

  constructor(readonly gpu: GPUDevice) {}

  /** Number of cached groups. */
  get size(): number {
    return this.#made.size;
  }

  /** Returns the bind group of a kernel's tensors, which are in the order of its bindings. */
  of(kernel: Kernel, pipeline: Pipeline, tensors: readonly Tensor[]): GPUBindGroup {
    let hash = pipeline.id;
    for (let i = 0; i < tensors.length; i++) {
      const { block, sizeBytes, offsetBytes } = tensors[i]!;
      hash = Math.imul(hash ^ (block.id + offsetBytes), 0x9e3779b1);
      hash = Math.imul((hash ^ (hash >>> 15)) + sizeBytes, 0x85ebca6b);
    }
    const made = this.#made.get(hash);
    if (made && fits(made, pipeline, tensors)) return made.group;
    if (this.#made.size >= MOST_GROUPS) this.#made.clear();
    const group = this.gpu.createBindGroup({
      label: kernel.name,
      layout: pipeline.layout,
      entries: tensors.map(({ block, sizeBytes, offsetBytes }, i) => ({
        binding: kernel.bindings[i]!.index,
        resource: { buffer: block.buffer, offset: offsetBytes, size: sizeBytes },
      })),
    });
    const blocks = tensors.map((tensor) => tensor.block);
    const sizes = tensors.map((tensor) => tensor.sizeBytes);
    const offsets = tensors.map((tensor) => tensor.offsetBytes);
    this.#made.set(hash, { pipeline, blocks, sizes, offsets, group });
    return group;
  }

  /** Evicts the groups that reference one of the buffers. */
  evict(blocks: ReadonlySet<Block>): void {
    for (const [hash, made] of this.#made) if (made.blocks.some((block) => blocks.has(block))) this.#made.delete(hash);
  }
}

function fits(made: Made, pipeline: Pipeline, tensors: readonly Tensor[]): boolean {
  if (made.pipeline !== pipeline || made.blocks.length !== tensors.length) return false;
  for (let i = 0; i < tensors.length; i++) {
    const { block, sizeBytes, offsetBytes } = tensors[i]!;
    if (made.blocks[i] !== block || made.sizes[i] !== sizeBytes || made.offsets[i] !== offsetBytes) return false;
  }
  return true;
}
