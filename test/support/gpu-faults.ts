import type { Device } from "../../src/runtime/device.js";

/** Operations of a GPU that can fail. */
export type GPUOperation = "allocate" | "map" | "submit";

/**
 * Fails one operation of a device's GPU: the allocation as where memory runs out, the submission as for invalid commands, the map with a
 * rejected promise. Operations are counted from the last `failAt`.
 */
export class GPUFaults {
  #at: number | undefined;
  #operation: GPUOperation = "allocate";
  #counts = { allocate: 0, map: 0, submit: 0 };
  /** Whether the fault has occurred. */
  injected = false;

  constructor(readonly device: Device) {
    const { gpu } = device;
    const { queue } = gpu;
    const createBuffer = gpu.createBuffer.bind(gpu);
    const submit = queue.submit.bind(queue);
    let used: GPUCommandBuffer | undefined;
    gpu.createBuffer = (descriptor) => {
      const isMappable = (descriptor.usage & 1) !== 0;
      const failing = this.#fails("allocate");
      // SwiftShader states a limit of 1 GiB for a buffer, and refuses one of just that size.
      const buffer = createBuffer(failing ? { ...descriptor, size: gpu.limits.maxBufferSize } : descriptor);
      if (!isMappable) return buffer;
      const mapAsync = buffer.mapAsync.bind(buffer);
      buffer.mapAsync = async (...given) => {
        if (this.#fails("map")) throw new DOMException("a map that was made to fail", "OperationError");
        return mapAsync(...given);
      };
      return buffer;
    };
    queue.submit = (commands) => {
      const list = [...commands];
      // A command buffer that was submitted before is invalid: the GPU reports it, and runs nothing.
      if (used && this.#fails("submit")) submit([used]);
      else submit(list);
      used = list[0];
    };
  }

  /** Fails the operation of this number, from 0, once. */
  failAt(operation: GPUOperation, at: number | undefined): void {
    this.#operation = operation;
    this.#at = at;
    this.#counts = { allocate: 0, map: 0, submit: 0 };
    this.injected = false;
  }

  get counts(): Readonly<Record<GPUOperation, number>> {
    return this.#counts;
  }

  #fails(operation: GPUOperation): boolean {
    const number = this.#counts[operation]++;
    if (operation !== this.#operation || number !== this.#at) return false;
    this.injected = true;
    return true;
  }
}
