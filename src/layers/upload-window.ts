import type { Device } from "../runtime/device.js";
import type { UploadRing } from "./upload-ring.js";

/** What the layers that stream are uploaded through: the bytes of packed ones, and others. */
export interface LayerUploads {
  readonly ring: UploadRing;
  readonly window: UploadWindow;
}

/** Uploaded bytes whose completion is awaited together. */
const STEP_BYTES = 8 * 1024 * 1024;

/**
 * Bounds the host memory of uploads: bytes that are written to the queue stay in staging memory until the adapter has copied them, which
 * it does after the work that was submitted before.
 */
export class UploadWindow {
  #bytes = 0;
  #pending: { readonly bytes: number; readonly copied: Promise<void> }[] = [];

  constructor(
    readonly device: Device,
    /** Bytes that may be in staging memory while more are read; up to 8 MiB more are. */
    readonly mostBytes: number,
  ) {}

  /** Counts uploaded bytes, and waits while there are too many. Throws the device's pending error. */
  async add(bytes: number): Promise<void> {
    this.#bytes += bytes;
    if (this.#bytes <= STEP_BYTES) return;
    const copied = this.device.sync();
    copied.catch(() => {}); // thrown where it is awaited
    this.#pending.push({ bytes: this.#bytes, copied });
    this.#bytes = 0;
    while (this.#pending.reduce((sum, step) => sum + step.bytes, 0) > this.mostBytes) {
      await this.#pending.shift()!.copied;
    }
  }
}
