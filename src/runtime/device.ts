import { platform } from "#platform";
import { LimitError, ShapeError } from "../base/errors.js";
import { type AdapterFacts, factsOf, type OpenOptions, openAdapter } from "./adapter.js";
import { Arena } from "./arena.js";
import { BindGroups } from "./bind-groups.js";
import { bindTensors } from "./bound-tensors.js";
import { type DType, sizeInBytes } from "./dtype.js";
import { disposedDevice, Faults, faultOf, lossOf, rejectionOf } from "./gpu-fault.js";
import { type Grid, gridOf, type Kernel } from "./kernel.js";
import { ParameterSlots } from "./parameter-slots.js";
import { Pipelines } from "./pipelines.js";
import { Pool } from "./pool.js";
import { type Counters, Profile } from "./profile.js";
import { Readback } from "./readback.js";
import { Tensor } from "./tensor.js";
import { uploadedType, writeBytes } from "./upload.js";
import { bytesOf, type Work, WorkBudget } from "./work-budget.js";

/** Dispatches recorded before an automatic submission, so that the adapter starts while the host records. */
const BATCH_DISPATCHES = 128;
/** The same within `together`. */
const MOST_DISPATCHES = 1024;

/**
 * The opened adapter: allocates tensors, and records kernels into one encoder that is submitted on read, on flush, after a fixed number
 * of dispatches, or on GPUs before it would take over 100 ms. Synchronous except `open`, `read`, `sync`, `prepared` and `settled`. An error in a kernel (shader compilation, validation,
 * lost device) is thrown by the next call.
 * @example
 * ```ts
 * const device = await Device.open();
 * const y = device.scope(() => rmsNorm(device.upload(new Float32Array(4).fill(2), [1, 4], "x"), weight, 1e-6));
 * device.dispose();
 * ```
 */
export class Device {
  readonly pool: Pool;
  /** Names the device in errors: the adapter's name, with its number where a model has several. @internal */
  title: string;
  /** Called with every named intermediate tensor of a forward pass. */
  tap: ((name: string, x: Tensor) => void) | undefined;
  readonly profile: Profile;
  /** Limits the work of a submission on GPUs. */
  readonly budget: WorkBudget;
  /** Dispatches, submissions and readbacks so far. */
  readonly counters: Counters = { dispatches: 0, submissions: 0, readbacks: 0 };

  readonly #root = new Arena(this, "device");
  #current: Arena = this.#root;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #batch = 0;
  #most = BATCH_DISPATCHES;
  readonly #pipelines: Pipelines;
  readonly #slots: ParameterSlots;
  readonly #groups: BindGroups;
  /** The tensors of the dispatch being recorded. */
  readonly #bound: Tensor[] = [];
  #precompiling = false;
  readonly #faults = new Faults();
  #disposed = false;

  /** Opens an adapter. Throws NoAdapterError. */
  static async open(options: OpenOptions = {}): Promise<Device> {
    const { gpu, facts } = await openAdapter(options);
    return new Device(gpu, facts);
  }

  /** Wraps an existing GPUDevice, which the caller destroys. */
  static from(gpu: GPUDevice): Device {
    return new Device(gpu, factsOf(gpu, gpu.adapterInfo, ["the device was passed in by the program"]), false);
  }

  private constructor(
    readonly gpu: GPUDevice,
    readonly facts: AdapterFacts,
    private readonly ownsGPU = true,
  ) {
    this.title = facts.name;
    this.#groups = new BindGroups(gpu);
    this.pool = new Pool(
      gpu,
      () => this.flush(),
      (blocks) => this.#groups.evict(blocks),
    );
    this.profile = new Profile(gpu, facts.timestamps);
    this.budget = new WorkBudget(facts.onCPU, () =>
      platform.waitFor(gpu.queue.onSubmittedWorkDone(), gpu.queue, facts.onCPU),
    );
    this.#slots = new ParameterSlots(gpu, MOST_DISPATCHES, facts.immediateBytes);
    this.#pipelines = new Pipelines(gpu, this.#slots, (fault) => this.#faults.report(fault));
    gpu.addEventListener("uncapturederror", ({ error }) => this.#faults.reportUncaptured(faultOf(error, this.title)));
    gpu.lost.then((info) => {
      if (!this.#disposed) this.#faults.report(lossOf(info, this.title));
    });
  }

  /** Creates an owner of memory that lives until it is disposed: a Model's weights, a Session's cache. */
  arena(label: string): Arena {
    return new Arena(this, label);
  }

  /** Runs `work`; tensors it returns move to the enclosing owner, others go back to the pool. Throws ShapeError for async functions. */
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

  /** Folds `x` through `parts`, each step in a scope of its own. Frees a step's input once its output is recorded, except `x`. */
  steps<P>(x: Tensor, parts: readonly P[], step: (x: Tensor, part: P, index: number) => Tensor): Tensor {
    return parts.reduce((input, part, index) => {
      const output = this.scope(() => step(input, part, index));
      if (index > 0 && output.block !== input.block) this.free(input);
      return output;
    }, x);
  }

  /** Runs `work` with `arena` as the owner of its allocations. */
  within<T>(arena: Arena, work: () => T): T {
    const outer = this.#current;
    this.#current = arena;
    try {
      return work();
    } finally {
      this.#current = outer;
    }
  }

  /** Allocates a tensor of undefined content. Throws LimitError if it does not fit a binding. */
  empty(shape: readonly number[], dtype: DType, label: string): Tensor {
    this.check();
    const sizeBytes = sizeInBytes(shape, dtype);
    const limit = Math.min(this.facts.maxBindingBytes, this.facts.maxBufferBytes);
    if (sizeBytes > limit) {
      const fault = {
        where: `tensor ${label} [${shape.join(", ")}]`,
        expected: `at most ${limit} bytes in one binding of ${this.title}`,
        got: `${sizeBytes} bytes`,
        remedy: "split it by rows",
      };
      throw new LimitError(fault, sizeBytes);
    }
    const block = this.#precompiling ? this.pool.placeholder() : this.#current.acquire(sizeBytes, label);
    block.owner = this.#current;
    this.#current.blocks.add(block);
    return new Tensor(this, shape, dtype, label, block);
  }

  /** Allocates a tensor with a copy of the elements. Throws ShapeError for an unsupported array type or another number of elements. */
  upload(data: Float32Array | Uint32Array | Uint8Array, shape: readonly number[], label: string): Tensor {
    const dtype = uploadedType(data, label);
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

  /** Overwrites a tensor's bytes from `offsetBytes` on (a multiple of 4); a last word that is not complete is filled with zeros. */
  write(tensor: Tensor, data: ArrayBufferView, offsetBytes = 0): void {
    this.check();
    if (this.#precompiling) return;
    // A queue write overtakes commands that are recorded but not submitted.
    if (tensor.block.lastBatch === this.#batch) this.flush();
    writeBytes(this.gpu.queue, tensor.block.buffer, tensor.offsetBytes + offsetBytes, data);
  }

  /** Frees a tensor's memory before its owner does. */
  free(tensor: Tensor): void {
    const { block } = tensor;
    if (block.owner === undefined) return;
    block.owner.blocks.delete(block);
    block.owner = undefined;
    this.pool.release(block);
  }

  /**
   * Records one dispatch. `tensors` and `parameters` are bound by the names the WGSL gives them. `work` estimates its duration, and so
   * where commands are submitted; all tensors are read or written once if not given.
   * Throws KernelError for a missing or unknown name, LimitError for a grid over the limits.
   */
  run(
    kernel: Kernel,
    tensors: Readonly<Record<string, Tensor>>,
    parameters: Readonly<Record<string, number>>,
    workgroups: Grid,
    work: Work = bytesOf(tensors),
  ): void {
    this.check();
    if (this.#precompiling) {
      this.#pipelines.prepare(kernel);
      return;
    }
    const pipeline = this.#pipelines.of(kernel);
    const [x, y, z] = gridOf(kernel, workgroups);
    if (x === 0 || y === 0 || z === 0) return;
    this.#count(work);
    const group = this.#groups.of(kernel, pipeline, bindTensors(kernel, tensors, this.#batch, this.#bound));
    const offset = this.#slots.take(kernel, parameters);
    const pass = this.#openPass(kernel.name);
    pass.setPipeline(pipeline.pipeline);
    pass.setBindGroup(0, group);
    this.#slots.bind(pass, kernel, offset);
    pass.dispatchWorkgroups(x, y, z);
    this.counters.dispatches++;
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
    if (this.#precompiling) return;
    this.#count({ bytes: 2 * lengthBytes });
    this.#closePass();
    source.block.lastBatch = this.#batch;
    target.block.lastBatch = this.#batch;
    this.#encoderNow().copyBufferToBuffer(
      source.block.buffer,
      source.offsetBytes + sourceOffsetBytes,
      target.block.buffer,
      target.offsetBytes + targetOffsetBytes,
      lengthBytes,
    );
  }

  /**
   * Pipeline warm-up: records `work` only to compile its pipelines, in parallel; await `prepared` before they are needed. Nothing is
   * allocated, written or executed, so tensors may have their real sizes. Synchronous; tensors of `work` must not outlive it.
   */
  precompile(work: () => void): void {
    const { tap } = this;
    this.tap = undefined;
    this.#precompiling = true;
    try {
      this.scope(work);
    } finally {
      this.#precompiling = false;
      this.tap = tap;
    }
  }

  /** Waits for the pipelines of `precompile`. Throws KernelError for a kernel that does not compile. */
  async prepared(): Promise<void> {
    await this.settled(this.#pipelines.prepared());
  }

  /** Records `work` without a submission in between, unless it would take too long on a GPU: for many short dispatches. */
  together(work: () => void): void {
    this.#most = MOST_DISPATCHES;
    try {
      work();
    } finally {
      this.#most = BATCH_DISPATCHES;
    }
  }

  /** Submits the recorded commands. */
  flush(): void {
    this.#closePass();
    if (!this.#encoder) return;
    this.#slots.submit();
    this.gpu.queue.submit([this.#encoder.finish()]);
    this.budget.submit();
    this.counters.submissions++;
    this.#encoder = undefined;
    this.#batch++;
  }

  /** Copies a tensor's bytes to host memory; the copy is recorded immediately and resolves when it has arrived. */
  async read(tensor: Tensor): Promise<ArrayBuffer> {
    this.check();
    tensor.check("read");
    const readback = new Readback(this, tensor.sizeBytes, tensor.label);
    try {
      readback.begin(tensor);
      return await readback.bytes();
    } finally {
      readback.dispose();
    }
  }

  /** Records a copy of a tensor's first bytes, submits, and maps the staging buffer. For `Readback`. */
  fetch(tensor: Tensor, staging: GPUBuffer, lengthBytes: number): Promise<undefined> {
    this.check();
    tensor.check("read");
    this.#closePass();
    tensor.block.lastBatch = this.#batch;
    this.#encoderNow().copyBufferToBuffer(tensor.block.buffer, tensor.offsetBytes, staging, 0, lengthBytes);
    this.flush();
    this.counters.readbacks++;
    return staging.mapAsync(1 /* GPUMapMode.READ */);
  }

  /** Submits, and waits until all submitted work has completed. */
  async sync(): Promise<void> {
    this.flush();
    await this.settled(this.gpu.queue.onSubmittedWorkDone());
    this.#faults.settle();
  }

  /** Awaits a GPU promise, then throws the device's pending error, if any. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    try {
      return await platform.waitFor(promise, this.gpu.queue, this.facts.onCPU);
    } catch (cause) {
      // Browsers reject pending promises of a lost device shortly before they report the loss.
      await Promise.race([this.gpu.lost, new Promise((resolve) => setTimeout(resolve, 200))]);
      throw rejectionOf(cause, this.title);
    } finally {
      await this.#pipelines.checked();
      this.check();
    }
  }

  /** Whether `check` would throw nothing. */
  get sound(): boolean {
    return !this.#disposed && this.#faults.pending === undefined;
  }

  /** Number of errors that the GPU reported so far. */
  get faults(): number {
    return this.#faults.count;
  }

  /**
   * Throws the device's pending error, if any. With `since`, an earlier value of `faults`, also the latest error after that, which another
   * caller may have received: commands of all callers are submitted together, and an error drops them all.
   */
  check(since = this.faults): void {
    // A lost device stays lost, also when it is disposed.
    if (this.#disposed && !this.#faults.lost) throw disposedDevice();
    this.#faults.check(since);
  }

  /** Frees all memory, and destroys the GPU device unless it was passed to `from`. */
  dispose(): void {
    if (this.#disposed) return;
    this.flush();
    this.#root.dispose();
    this.pool.close();
    this.profile.dispose();
    this.#disposed = true;
    this.#slots.dispose();
    if (this.ownsGPU) this.gpu.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Submits what is recorded if it is full or `work` would make it take too long; then counts `work`. */
  #count(work: Work): void {
    if (this.#slots.used >= this.#most || !this.budget.fits(work)) this.flush();
    this.budget.add(work);
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
