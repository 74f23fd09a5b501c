import type { Device } from "./device.js";
import { roundUp } from "./dtype.js";
import { GPU_COPY_DST, GPU_MAP_READ } from "./pool.js";
import type { Tensor } from "./tensor.js";

/**
 * A reusable staging buffer for copies to host memory, one at a time: `begin` records the copy and submits, `bytes` waits for it. With
 * several of them the host records ahead while earlier copies are in flight.
 */
export class Readback {
  readonly #staging: GPUBuffer;
  #mapped: Promise<undefined> | undefined;
  #size = 0;
  /** Arrival time of the latest copy, in milliseconds of `performance.now()`; undefined while it is in flight. */
  arrivedAt: number | undefined;

  constructor(
    readonly device: Device,
    sizeBytes: number,
    label: string,
  ) {
    const usage = GPU_MAP_READ | GPU_COPY_DST;
    this.#staging = device.gpu.createBuffer({ label: `read ${label}`, size: roundUp(sizeBytes, 4), usage });
  }

  /** Copies the first `lengthBytes` of a tensor, after everything recorded so far. */
  begin(tensor: Tensor, lengthBytes = tensor.sizeBytes): void {
    this.#size = roundUp(lengthBytes, 4);
    this.arrivedAt = undefined;
    const mapped = this.device.fetch(tensor, this.#staging, this.#size);
    this.#mapped = mapped;
    // Possibly never awaited: an aborted answer drops the steps recorded ahead.
    mapped.then(
      () => {
        this.arrivedAt = performance.now();
      },
      () => {},
    );
  }

  /** Returns the bytes of the latest copy; throws the device's pending error, if any. */
  async bytes(): Promise<ArrayBuffer> {
    // The loss of a device unmaps its buffers.
    const copied = this.#mapped?.then(() => this.#staging.getMappedRange(0, this.#size).slice(0));
    const bytes = await this.device.settled(copied ?? Promise.resolve(new ArrayBuffer(0)));
    this.#staging.unmap();
    return bytes;
  }

  dispose(): void {
    this.#staging.destroy();
  }
}
