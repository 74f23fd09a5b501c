import { KernelError } from "../base/errors.js";
import type { Kernel } from "./kernel.js";
import { COMPUTE_STAGE, GPU_COPY_DST, GPU_UNIFORM } from "./pool.js";

/** Slot stride: the largest alignment that a dynamic uniform offset can require. */
const SLOT_BYTES = 256;

/**
 * The parameters of recorded dispatches: immediate data of the pass if the device supports it, else slots of one uniform buffer
 * that is written once per submission.
 */
export class ParameterSlots {
  readonly layout: GPUBindGroupLayout;
  readonly group: GPUBindGroup;
  readonly #bytes: ArrayBuffer;
  readonly #view: DataView;
  readonly #buffer: GPUBuffer;
  #used = 0;
  /** Whether a recorded dispatch reads the buffer. */
  #read = false;

  constructor(
    private readonly gpu: GPUDevice,
    count: number,
    /** Immediate data that a pass supports. */
    private readonly immediateBytes: number,
  ) {
    this.#bytes = new ArrayBuffer(SLOT_BYTES * count);
    this.#view = new DataView(this.#bytes);
    this.#buffer = gpu.createBuffer({
      label: "parameters",
      size: this.#bytes.byteLength,
      usage: GPU_UNIFORM | GPU_COPY_DST,
    });
    this.layout = gpu.createBindGroupLayout({
      entries: [{ binding: 0, visibility: COMPUTE_STAGE, buffer: { type: "uniform", hasDynamicOffset: true } }],
    });
    this.group = gpu.createBindGroup({
      layout: this.layout,
      entries: [{ binding: 0, resource: { buffer: this.#buffer, size: SLOT_BYTES } }],
    });
  }

  /** Slots in use until the next submission. */
  get used(): number {
    return this.#used;
  }

  /** Writes a kernel's parameters into the next slot; returns the slot's offset in bytes. Throws KernelError for a wrong name. */
  take(kernel: Kernel, parameters: Readonly<Record<string, number>>): number {
    const offset = this.#used * SLOT_BYTES;
    const fields = kernel.parameters;
    for (let i = 0; i < fields.length; i++) {
      const { name, type } = fields[i]!;
      const value = parameters[name];
      if (value === undefined) throw misbound(kernel, `a parameter \`${name}\``, "none");
      if (type === "f32") this.#view.setFloat32(offset + i * 4, value, true);
      else if (type === "u32") this.#view.setUint32(offset + i * 4, value, true);
      else this.#view.setInt32(offset + i * 4, value, true);
    }
    let given = 0;
    for (const _ in parameters) given++;
    // Every field has a value, so an additional name is unknown to the kernel.
    if (given !== fields.length) {
      const unknown = Object.keys(parameters).find((name) => !fields.some((field) => field.name === name));
      throw misbound(kernel, `the parameters ${fields.map((p) => p.name).join(", ")}`, unknown ?? "others");
    }
    this.#used++;
    return offset;
  }

  /** Whether a kernel's parameters fit into immediate data. */
  immediate(kernel: Kernel): boolean {
    return kernel.parameters.length * 4 <= this.immediateBytes;
  }

  /** Binds the parameters at `offset` for the next dispatch of a pass. */
  bind(pass: GPUComputePassEncoder, kernel: Kernel, offset: number): void {
    const lengthBytes = kernel.parameters.length * 4;
    if (lengthBytes === 0) return;
    if (this.immediate(kernel)) {
      pass.setImmediates(0, this.#bytes, offset, lengthBytes);
      return;
    }
    this.#read = true;
    pass.setBindGroup(1, this.group, [offset]);
  }

  /** Uploads the slots in use and frees them. */
  submit(): void {
    if (this.#read) this.gpu.queue.writeBuffer(this.#buffer, 0, this.#bytes, 0, this.#used * SLOT_BYTES);
    this.#used = 0;
    this.#read = false;
  }

  dispose(): void {
    this.#buffer.destroy();
  }
}

/** Returns the error for a name that does not match the kernel's WGSL. */
export function misbound(kernel: Kernel, expected: string, got: string): KernelError {
  return new KernelError({ where: `kernel ${kernel.name}`, expected, got, remedy: "bind by the names in the WGSL" });
}
