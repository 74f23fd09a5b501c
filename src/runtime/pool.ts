import { roundUp } from "./dtype.js";

/** One GPU buffer of the pool. Tensors view blocks; arenas own blocks. */
export interface Block {
  /** Unique per pool. */
  readonly id: number;
  readonly buffer: GPUBuffer;
  readonly sizeBytes: number;
  /** The last submission whose commands use the block; a queue write must not overtake it. */
  lastBatch: number;
  owner: BlockOwner | undefined;
}

export interface BlockOwner {
  readonly label: string;
  readonly blocks: Set<Block>;
}

const LARGE_BYTES = 256 * 1024;
/** Maximum bytes of free blocks kept for reuse; beyond that they are destroyed. */
const KEEP_FREE_BYTES = 512 * 1024 * 1024;

/** Buffer pool: reuses released buffers, since allocation costs more than most kernels. */
export class Pool {
  #free: Block[] = [];
  #freeBytes = 0;
  #made = 0;
  #closed = false;
  #placeholder: GPUBuffer | undefined;
  /** Bytes of blocks that have an owner. */
  liveBytes = 0;
  liveBlocks = 0;
  peakBytes = 0;
  /** Free blocks are destroyed before the bytes allocated on the adapter would exceed this; blocks that have an owner may. */
  mostBytes = Number.POSITIVE_INFINITY;

  constructor(
    readonly gpu: GPUDevice,
    /** Submits recorded commands, so that the buffers they reference may be destroyed. */
    readonly flush: () => void,
    /** Called with blocks before their buffers are destroyed. */
    readonly onDestroy: (blocks: ReadonlySet<Block>) => void,
  ) {}

  /** Bytes allocated on the adapter: owned and free. */
  get reservedBytes(): number {
    return this.liveBytes + this.#freeBytes;
  }

  acquire(sizeBytes: number, label: string): Block {
    // Size classes are fractions of a power of two, so that requests share few sizes. Large buffers, such as weights, get finer
    // classes: an eighth more memory for a model may exceed the adapter's.
    const parts = sizeBytes < LARGE_BYTES ? 8 : 128;
    const step = Math.max(256, 2 ** Math.floor(Math.log2(Math.max(sizeBytes, 1))) / parts);
    const rounded = roundUp(Math.max(sizeBytes, 4), step);
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const size = this.#free[i]!.sizeBytes;
      if (size >= rounded && size <= rounded * 1.25 && (best < 0 || size < this.#free[best]!.sizeBytes)) best = i;
    }
    let block: Block;
    if (best >= 0) {
      block = this.#free.splice(best, 1)[0]!;
      this.#freeBytes -= block.sizeBytes;
    } else {
      if (Math.max(this.#freeBytes + rounded - KEEP_FREE_BYTES, this.reservedBytes + rounded - this.mostBytes) > 0)
        this.trim();
      const size = Math.min(rounded, Math.max(sizeBytes, this.gpu.limits.maxBufferSize));
      const usage = GPU_STORAGE | GPU_COPY_SRC | GPU_COPY_DST;
      block = {
        id: this.#made++,
        buffer: this.gpu.createBuffer({ size: roundUp(size, 4), usage, label }),
        sizeBytes: roundUp(size, 4),
        lastBatch: -1,
        owner: undefined,
      };
    }
    this.liveBytes += block.sizeBytes;
    this.liveBlocks++;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    return block;
  }

  /** Returns a block without memory, for `device.precompile`; only its owner matters. */
  placeholder(): Block {
    this.#placeholder ??= this.gpu.createBuffer({ size: 4, usage: GPU_STORAGE, label: "placeholder" });
    return { id: -1, buffer: this.#placeholder, sizeBytes: 0, lastBatch: -1, owner: undefined };
  }

  release(block: Block): void {
    if (block.sizeBytes === 0) return;
    this.liveBytes -= block.sizeBytes;
    this.liveBlocks--;
    this.#free.push(block);
    this.#freeBytes += block.sizeBytes;
    if (this.#closed) this.trim();
  }

  /** Destroys every free block, and from now on every block that is released. */
  close(): void {
    this.#closed = true;
    this.trim();
  }

  /** Destroys every free block. */
  trim(): void {
    if (this.#free.length === 0) return;
    this.flush();
    this.onDestroy(new Set(this.#free));
    for (const block of this.#free) block.buffer.destroy();
    this.#free = [];
    this.#freeBytes = 0;
  }
}

// The numbers of the WebGPU specification: the GPUBufferUsage global does not exist in Node.
export const GPU_MAP_READ = 0x0001;
export const GPU_MAP_WRITE = 0x0002;
export const GPU_COPY_SRC = 0x0004;
export const GPU_COPY_DST = 0x0008;
export const GPU_UNIFORM = 0x0040;
export const GPU_STORAGE = 0x0080;
export const GPU_QUERY_RESOLVE = 0x0200;
/** GPUShaderStage.COMPUTE. */
export const COMPUTE_STAGE = 4;
