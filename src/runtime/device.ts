import { platform } from "#platform";
import { type AdapterFacts, factsOf, type OpenOptions, openAdapter } from "./adapter.js";
import { Arena } from "./arena.js";
import { type DType, roundUp, sizeInBytes } from "./dtype.js";
import { DeviceLostError, DisposedError, KernelError, LimitError, type OcellusError, ShapeError } from "./errors.js";
import type { Kernel } from "./kernel.js";
import { misbound, ParameterSlots } from "./parameter-slots.js";
import { Pipelines } from "./pipelines.js";
import { GPU_COPY_DST, GPU_MAP_READ, Pool } from "./pool.js";
import { Profile } from "./profile.js";
import { Tensor } from "./tensor.js";

/** Dispatches recorded before they are submitted on their own, so that the adapter starts while the host records. */
const BATCH_DISPATCHES = 128;

/**
 * The opened adapter: it allocates tensors, records kernels into one encoder and submits on read, on flush or after a
 * fixed number of dispatches. Everything here is synchronous but `open`, `read` and `sync`; a fault in a kernel
 * (shader error, validation, lost device) is thrown by the next of these.
 */
export class Device {
  readonly pool: Pool;
  /** Called with every named intermediate of a forward pass. */
  tap: ((name: string, x: Tensor) => void) | undefined;
  readonly profile: Profile;

  readonly #root = new Arena(this, "device");
  #current: Arena = this.#root;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #batch = 0;
  readonly #pipelines: Pipelines;
  readonly #slots: ParameterSlots;
  #fault: OcellusError | undefined;
  #disposed = false;

  /** Opens an adapter: `const device = await Device.open()`. Throws NoAdapterError. */
  static async open(options: OpenOptions = {}): Promise<Device> {
    const { gpu, facts } = await openAdapter(options);
    return new Device(gpu, facts);
  }

  /** Uses a GPUDevice that the program already has; it stays the caller's to destroy. */
  static from(gpu: GPUDevice): Device {
    return new Device(gpu, factsOf(gpu, gpu.adapterInfo, ["the device was handed in by the program"]), false);
  }

  private constructor(
    readonly gpu: GPUDevice,
    readonly facts: AdapterFacts,
    private readonly ownsGPU = true,
  ) {
    this.pool = new Pool(gpu, () => this.flush());
    this.profile = new Profile(gpu, facts.timestamps);
    this.#slots = new ParameterSlots(gpu, BATCH_DISPATCHES);
    this.#pipelines = new Pipelines(gpu, this.#slots.layout, (fault) => {
      this.#fault = fault;
    });
    gpu.addEventListener("uncapturederror", (event) => this.#fail((event as GPUUncapturedErrorEvent).error));
    gpu.lost.then((info) => {
      if (this.#disposed) return;
      this.#fault = new DeviceLostError({
        where: `GPU device on ${facts.name}`,
        expected: "to stay open",
        got: `${info.reason || "lost"}: ${info.message}`,
        remedy: "load the model again; ask for fewer pictures or a smaller dtype if memory ran out",
      });
    });
  }

  // ---- memory ----

  /** An owner of memory that lives until it is disposed: a Model's weights, a Session's cache. */
  arena(label: string): Arena {
    return new Arena(this, label);
  }

  /** Runs `work`; what it returns moves to the enclosing owner, everything else it made goes back to the pool. */
  scope<T>(work: () => T): T {
    const outer = this.#current;
    const inner = new Arena(this, "scope");
    try {
      const result = this.within(inner, work);
      if (result instanceof Promise) {
        throw new ShapeError({
          where: "device.scope",
          expected: "a synchronous function",
          got: "one that returned a promise",
          remedy: "read tensors after the scope has returned them",
        });
      }
      outer.adopt(result);
      return result;
    } finally {
      inner.dispose();
    }
  }

  /** Folds `x` through `parts`, each step in a scope of its own; a step's input is given back when its output stands. */
  steps<P>(x: Tensor, parts: readonly P[], step: (x: Tensor, part: P, index: number) => Tensor): Tensor {
    return parts.reduce((input, part, index) => {
      const output = this.scope(() => step(input, part, index));
      if (index > 0 && output.block !== input.block) this.free(input);
      return output;
    }, x);
  }

  /** Makes `arena` the owner of what `work` allocates. */
  within<T>(arena: Arena, work: () => T): T {
    const outer = this.#current;
    this.#current = arena;
    try {
      return work();
    } finally {
      this.#current = outer;
    }
  }

  /** A tensor of undefined content. */
  empty(shape: readonly number[], dtype: DType, label: string): Tensor {
    this.check();
    const sizeBytes = sizeInBytes(shape, dtype);
    const limit = Math.min(this.facts.maxBindingBytes, this.facts.maxBufferBytes);
    if (sizeBytes > limit) {
      throw new LimitError({
        where: `tensor ${label} [${shape.join(", ")}]`,
        expected: `at most ${limit} bytes in one binding of ${this.facts.name}`,
        got: `${sizeBytes} bytes`,
        remedy: "split it by rows",
      });
    }
    const block = this.pool.acquire(sizeBytes, label);
    block.owner = this.#current;
    this.#current.blocks.add(block);
    return new Tensor(this, shape, dtype, label, block);
  }

  /** A tensor with the given elements. */
  upload(data: Float32Array | Uint32Array | Uint8Array, shape: readonly number[], label: string): Tensor {
    const dtype: DType = data instanceof Float32Array ? "f32" : data instanceof Uint32Array ? "u32" : "u8";
    const tensor = this.empty(shape, dtype, label);
    if (tensor.length !== data.length) {
      tensor.dispose();
      throw new ShapeError({
        where: `upload of ${label}`,
        expected: `${tensor.length} elements for [${shape.join(", ")}]`,
        got: `${data.length}`,
        remedy: "pass as many elements as the shape has",
      });
    }
    this.write(tensor, data);
    return tensor;
  }

  /** Overwrites a tensor's bytes from `offsetBytes` on (a multiple of 4). */
  write(tensor: Tensor, data: ArrayBufferView, offsetBytes = 0): void {
    this.check();
    // A queue write overtakes commands that are recorded and not submitted.
    if (tensor.block.lastBatch === this.#batch) this.flush();
    const whole = data.byteLength & ~3;
    const { buffer } = tensor.block;
    this.gpu.queue.writeBuffer(buffer, offsetBytes, data.buffer, data.byteOffset, whole);
    if (whole !== data.byteLength) {
      const tail = new Uint8Array(4);
      tail.set(new Uint8Array(data.buffer, data.byteOffset + whole, data.byteLength - whole));
      this.gpu.queue.writeBuffer(buffer, offsetBytes + whole, tail);
    }
  }

  /** Gives a tensor's memory back before its owner does. */
  free(tensor: Tensor): void {
    const { block } = tensor;
    if (block.owner === undefined) return;
    block.owner.blocks.delete(block);
    block.owner = undefined;
    this.pool.release(block);
  }

  // ---- work ----

  /**
   * Records one dispatch. `tensors` and `parameters` are bound by the names the WGSL gives them.
   * Throws KernelError for a missing or unknown name, LimitError for a grid over the limits.
   */
  run(
    kernel: Kernel,
    tensors: Readonly<Record<string, Tensor>>,
    parameters: Readonly<Record<string, number>>,
    workgroups: readonly [number, number?, number?],
  ): void {
    this.check();
    const { pipeline, layout } = this.#pipelines.of(kernel);
    const grid = [workgroups[0], workgroups[1] ?? 1, workgroups[2] ?? 1] as const;
    if (grid.some((n) => n > 65535)) {
      throw new LimitError({
        where: `kernel ${kernel.name}`,
        expected: "at most 65535 workgroups a dimension",
        got: grid.join(" × "),
        remedy: "split the work by rows",
      });
    }
    if (grid.some((n) => n === 0)) return;
    if (this.#slots.full) this.flush();
    const entries = kernel.bindings.map(({ name, index }): GPUBindGroupEntry => {
      const tensor = tensors[name];
      if (!tensor) throw misbound(kernel, `a tensor for binding \`${name}\``, "none");
      tensor.check(`kernel ${kernel.name}, binding ${name}`);
      tensor.block.lastBatch = this.#batch;
      return { binding: index, resource: { buffer: tensor.block.buffer, size: tensor.sizeBytes } };
    });
    if (Object.keys(tensors).length !== entries.length) {
      throw misbound(
        kernel,
        `the bindings ${kernel.bindings.map((b) => b.name).join(", ")}`,
        Object.keys(tensors).join(", "),
      );
    }
    const group = this.gpu.createBindGroup({ label: kernel.name, layout, entries });
    const offset = this.#slots.take(kernel, parameters);
    const pass = this.#openPass(kernel.name);
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    if (kernel.parameters.length > 0) pass.setBindGroup(1, this.#slots.group, [offset]);
    pass.dispatchWorkgroups(...grid);
    if (this.profile.enabled) this.#closePass();
  }

  /** Copies bytes between tensors: offsets and length are multiples of 4. */
  copy(
    source: Tensor,
    sourceOffsetBytes: number,
    target: Tensor,
    targetOffsetBytes: number,
    lengthBytes: number,
  ): void {
    this.check();
    source.check("copy");
    target.check("copy");
    this.#closePass();
    source.block.lastBatch = this.#batch;
    target.block.lastBatch = this.#batch;
    this.#encoderNow().copyBufferToBuffer(
      source.block.buffer,
      sourceOffsetBytes,
      target.block.buffer,
      targetOffsetBytes,
      lengthBytes,
    );
  }

  /** Submits what is recorded. */
  flush(): void {
    this.#closePass();
    if (!this.#encoder) return;
    this.#slots.submit();
    this.gpu.queue.submit([this.#encoder.finish()]);
    this.#encoder = undefined;
    this.#batch++;
  }

  /** Copies a tensor's bytes to host memory; the copy is recorded at once, the promise waits for it. */
  async read(tensor: Tensor): Promise<ArrayBuffer> {
    this.check();
    tensor.check("read");
    const size = roundUp(tensor.sizeBytes, 4);
    const staging = this.gpu.createBuffer({ label: `read ${tensor.label}`, size, usage: GPU_MAP_READ | GPU_COPY_DST });
    try {
      this.#closePass();
      tensor.block.lastBatch = this.#batch;
      this.#encoderNow().copyBufferToBuffer(tensor.block.buffer, 0, staging, 0, size);
      this.flush();
      await this.#settle(staging.mapAsync(1 /* GPUMapMode.READ */));
      return staging.getMappedRange().slice(0);
    } finally {
      staging.destroy();
    }
  }

  /** Waits until everything submitted has run. */
  async sync(): Promise<void> {
    this.flush();
    await this.#settle(this.gpu.queue.onSubmittedWorkDone());
  }

  /** Throws what went wrong on the device since the last look. */
  check(): void {
    if (this.#disposed) {
      throw new DisposedError({
        where: "Device",
        expected: "an open device",
        got: "a disposed one",
        remedy: "open another with Device.open()",
      });
    }
    if (this.#fault) {
      const fault = this.#fault;
      // A lost device stays lost; other faults are reported once, and the next call may work.
      if (!(fault instanceof DeviceLostError)) this.#fault = undefined;
      throw fault;
    }
  }

  /** Gives everything back, and destroys the GPU device unless it was handed in. */
  dispose(): void {
    if (this.#disposed) return;
    this.flush();
    this.#root.dispose();
    this.pool.trim();
    this.profile.dispose();
    this.#disposed = true;
    this.#slots.dispose();
    if (this.ownsGPU) this.gpu.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // ---- inside ----

  async #settle<T>(promise: Promise<T>): Promise<T> {
    try {
      return await platform.waitFor(promise, this.facts.onCPU);
    } catch (cause) {
      // Browsers drop what waits on a lost device a moment before they tell of the loss.
      await Promise.race([this.gpu.lost, new Promise((resolve) => setTimeout(resolve, 200))]);
      throw cause;
    } finally {
      await this.#pipelines.checked();
      this.check();
    }
  }

  #fail(error: GPUError): void {
    const where = `GPU device on ${this.facts.name}`;
    const [got] = error.message.split("\n    at ", 1) as [string];
    // Once memory has run out, what follows is complaints about the buffer that is not there.
    this.#fault ??=
      error.constructor.name === "GPUOutOfMemoryError"
        ? new LimitError({
            where,
            expected: "room for another buffer",
            got,
            remedy: "hold the weights in fewer bits (dtype q8 or q4), or ask for fewer pictures or frames",
          })
        : new KernelError({ where, expected: "valid commands", got, remedy: "report this with `ocellus doctor`" });
  }

  #encoderNow(): GPUCommandEncoder {
    this.#encoder ??= this.gpu.createCommandEncoder();
    return this.#encoder;
  }

  #openPass(name: string): GPUComputePassEncoder {
    this.#pass ??= this.#encoderNow().beginComputePass(this.profile.pass(name));
    return this.#pass;
  }

  #closePass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }
}
