import type { Device } from "./device.js";
import { roundUp } from "./dtype.js";
import { GPU_COPY_DST, GPU_MAP_READ } from "./pool.js";
import type { Tensor } from "./tensor.js";

/**
 * A staging buffer for copies to host memory, one at a time and any number in turn: `begin` records the copy and submits, `bytes`
 * waits for it. Several of them let work be recorded ahead while the host reads.
 */
export class Readback {
  readonly #staging: GPUBuffer;
  #mapped: Promise<undefined> | undefined;
  #size = 0;
  /** When the copy that was begun last had arrived, in milliseconds of `performance.now()`; undefined before that. */
  arrivedAt: number | undefined;

  constructor(
    readonly device: Device,
    sizeBytes: number,
    label: string,
  ) {
    const usage = GPU_MAP_READ | GPU_COPY_DST;
    this.#staging = device.gpu.createBuffer({ label: `read ${label}`, size: roundUp(sizeBytes, 4), usage });
  }

  /** Copies the first `lengthBytes` of a tensor, as it is when everything recorded so far has run. */
  begin(tensor: Tensor, lengthBytes = tensor.sizeBytes): void {
    this.#size = roundUp(lengthBytes, 4);
    this.arrivedAt = undefined;
    const mapped = this.device.fetch(tensor, this.#staging, this.#size);
    this.#mapped = mapped;
    // Nobody may wait for it: an answer that is aborted drops what was recorded ahead.
    mapped.then(
      () => {
        this.arrivedAt = performance.now();
      },
      () => {},
    );
  }

  /** The bytes of the copy that was begun last; throws what went wrong on the device. */
  async bytes(): Promise<ArrayBuffer> {
    if (this.#mapped) await this.device.settled(this.#mapped);
    const bytes = this.#staging.getMappedRange(0, this.#size).slice(0);
    this.#staging.unmap();
    return bytes;
  }

  dispose(): void {
    this.#staging.destroy();
  }
}
