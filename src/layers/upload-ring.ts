import type { Device } from "../runtime/device.js";
import { roundUp } from "../runtime/dtype.js";
import { GPU_COPY_SRC, GPU_MAP_WRITE } from "../runtime/pool.js";
import type { Tensor } from "../runtime/tensor.js";

/** Bytes of a piece that a tensor gets. */
export interface PieceCopy {
  readonly tensor: Tensor;
  /** Bytes of the piece. */
  readonly from: number;
  readonly to: number;
  /** Where they begin in the tensor, in bytes. */
  readonly offset: number;
}

/** A staging buffer. */
interface Staging {
  readonly buffer: GPUBuffer;
  /** Resolves when the adapter has made the copies from it. */
  readonly mapped: Promise<void>;
  /** Bytes that have been written to it since, and what gets them. */
  usedBytes: number;
  readonly copies: PieceCopy[];
}

/** The mode of mapping, as WebGPU numbers it. */
const WRITE = 2;

/**
 * Uploads through staging buffers that stay and are mapped in turns. A queue write allocates staging memory each time, which takes several times
 * as long as the copy. When all buffers are on their way, a piece waits until the adapter has copied from the oldest.
 */
export class UploadRing {
  /** The one that is being filled. */
  #filling: Staging | undefined;
  /** Not in use, in the order in which their copies were submitted. */
  readonly #free: Staging[] = [];
  #made = 0;
  #closed = false;

  constructor(
    readonly device: Device,
    /** Bytes of a staging buffer. */
    readonly sizeBytes: number,
    /** How many there are at most. */
    readonly most: number,
  ) {}

  /**
   * Copies parts of a piece to tensors, after the work that was recorded before and before that which is recorded after `finish`. Resolves when
   * `piece` may be overwritten. Throws the device's pending error.
   */
  async write(piece: Uint8Array, copies: readonly PieceCopy[]): Promise<void> {
    if (this.#closed) return;
    const { device } = this;
    const whole = copies.filter(isWhole);
    // Buffers are copied in words.
    for (const copy of copies) {
      if (!whole.includes(copy)) device.write(copy.tensor, piece.subarray(copy.from, copy.to), copy.offset);
    }
    if (this.#filling && this.#filling.usedBytes + piece.length > this.sizeBytes) this.finish();
    const staging = this.#filling ?? (await this.#take());
    device.check();
    const at = staging.usedBytes;
    new Uint8Array(staging.buffer.getMappedRange(at, roundUp(piece.length, 4))).set(piece);
    staging.copies.push(...whole.map((copy) => ({ ...copy, from: at + copy.from, to: at + copy.to })));
    staging.usedBytes = at + roundUp(piece.length, MAPPED_ALIGNMENT);
  }

  /** Submits the copies. Throws the device's pending error. */
  finish(): void {
    const { device } = this;
    // The tensors of a ring that was disposed may be others' memory by now.
    if (this.#closed) this.reset();
    const staging = this.#filling;
    if (!staging) return;
    this.#filling = undefined;
    try {
      staging.buffer.unmap();
      // Work that was recorded reads what is overwritten.
      device.flush();
      const encoder = device.gpu.createCommandEncoder();
      for (const { tensor, from, to, offset } of staging.copies)
        encoder.copyBufferToBuffer(staging.buffer, from, tensor.block.buffer, tensor.offsetBytes + offset, to - from);
      device.gpu.queue.submit([encoder.finish()]);
    } catch (cause) {
      this.#drop(staging);
      throw cause;
    }
    const mapped = staging.buffer.mapAsync(WRITE).then(() => {});
    mapped.catch(() => {}); // thrown where it is awaited
    this.#free.push({ buffer: staging.buffer, mapped, usedBytes: 0, copies: [] });
  }

  /** Forgets what was written since `finish`, where that is not called. */
  reset(): void {
    if (this.#filling) this.#drop(this.#filling);
    this.#filling = undefined;
  }

  /** Frees the staging buffers; nothing is copied from then on. */
  dispose(): void {
    this.#closed = true;
    this.reset();
    for (const staging of this.#free.splice(0)) this.#drop(staging);
  }

  /** A mapped buffer, which is filled next. */
  async #take(): Promise<Staging> {
    const staging = this.#made < this.most ? this.#make() : this.#free.shift()!;
    try {
      await this.device.settled(staging.mapped);
    } catch (cause) {
      this.#drop(staging);
      throw cause;
    }
    this.#filling = staging;
    return staging;
  }

  #make(): Staging {
    const usage = GPU_MAP_WRITE | GPU_COPY_SRC;
    const descriptor = { label: "upload", size: this.sizeBytes, usage, mappedAtCreation: true };
    const buffer = this.device.gpu.createBuffer(descriptor);
    this.#made++;
    return { buffer, mapped: Promise.resolve(), usedBytes: 0, copies: [] };
  }

  #drop({ buffer }: Staging): void {
    this.#made--;
    buffer.destroy();
  }
}

/** Offsets of mapped ranges are multiples of this. */
const MAPPED_ALIGNMENT = 8;

function isWhole({ tensor, from, to, offset }: PieceCopy): boolean {
  return [from, to, tensor.offsetBytes + offset].every((at) => at % 4 === 0);
}
