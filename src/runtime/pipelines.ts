import { causeMessage } from "../base/cause-message.js";
import { KernelError, type OcellusError } from "../base/errors.js";
import { type Kernel, numberedLines } from "./kernel.js";
import type { ParameterSlots } from "./parameter-slots.js";
import { COMPUTE_STAGE } from "./pool.js";

export interface Pipeline {
  /** Unique per device. */
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/**
 * Cache of compiled pipelines by WGSL text. A kernel that does not compile is reported once, with numbered lines. `of` compiles
 * synchronously on first use; `prepare` compiles ahead of use, several in parallel.
 */
export class Pipelines {
  readonly #made = new Map<string, Pipeline>();
  /** Pending compilations of `prepare`, by text. */
  readonly #coming = new Map<string, Promise<void>>();
  readonly #checks = new Set<Promise<void>>();
  #count = 0;

  constructor(
    readonly gpu: GPUDevice,
    readonly parameters: ParameterSlots,
    readonly report: (fault: OcellusError) => void,
  ) {}

  /** Returns the pipeline of a kernel. Does not wait for a pending `prepare`, but compiles again: await `prepared` before. */
  of(kernel: Kernel): Pipeline {
    let made = this.#made.get(kernel.text);
    if (!made) {
      made = this.#make(kernel);
      this.#made.set(kernel.text, made);
    }
    return made;
  }

  /** Starts to compile a kernel, unless it is compiled or pending. */
  prepare(kernel: Kernel): void {
    const { text } = kernel;
    if (this.#made.has(text) || this.#coming.has(text)) return;
    const { gpu } = this;
    gpu.pushErrorScope("validation");
    const { module, layout, descriptor } = this.#describe(kernel);
    const id = this.#count++;
    const made = gpu.createComputePipelineAsync(descriptor);
    const checked = gpu.popErrorScope();
    const coming = (async () => {
      try {
        // Await both: either of them reports the error, depending on its kind.
        const [pipeline, error] = await Promise.allSettled([made, checked]);
        const fault = error.status === "fulfilled" ? error.value : null;
        if (pipeline.status === "fulfilled" && !fault) {
          if (!this.#made.has(text)) this.#made.set(text, { id, pipeline: pipeline.value, layout });
          return;
        }
        // A lost device rejects both; the loss itself is reported by the device.
        if (error.status === "rejected") return;
        const reason = fault?.message ?? (pipeline.status === "rejected" ? causeMessage(pipeline.reason) : "");
        this.report(await faultIn(kernel, module, reason));
      } finally {
        this.#coming.delete(text);
      }
    })();
    this.#coming.set(text, coming);
  }

  /** Waits until every compilation started by `prepare` has finished or its error is reported. */
  async prepared(): Promise<void> {
    await Promise.all(this.#coming.values());
  }

  /** Waits until every synchronous compilation is validated or its error is reported. */
  async checked(): Promise<void> {
    await Promise.all(this.#checks);
  }

  #make(kernel: Kernel): Pipeline {
    const { gpu } = this;
    gpu.pushErrorScope("validation");
    const { module, layout, descriptor } = this.#describe(kernel);
    const pipeline = gpu.createComputePipeline(descriptor);
    const check = gpu.popErrorScope().then(async (error) => {
      if (!error) return;
      this.#made.delete(kernel.text);
      this.report(await faultIn(kernel, module, error.message));
    });
    this.#checks.add(check);
    // A lost device rejects the scope; the loss itself is reported by the device.
    check.catch(() => {}).finally(() => this.#checks.delete(check));
    return { id: this.#count++, pipeline, layout };
  }

  #describe(kernel: Kernel): {
    module: GPUShaderModule;
    layout: GPUBindGroupLayout;
    descriptor: GPUComputePipelineDescriptor;
  } {
    const { gpu } = this;
    const immediate = this.parameters.immediate(kernel);
    const module = gpu.createShaderModule({ label: kernel.name, code: kernel.textWith(immediate) });
    const layout = gpu.createBindGroupLayout({
      label: kernel.name,
      entries: kernel.bindings.map(({ index, writable }) => ({
        binding: index,
        visibility: COMPUTE_STAGE,
        buffer: { type: writable ? ("storage" as const) : ("read-only-storage" as const) },
      })),
    });
    const count = kernel.parameters.length;
    const arrangement =
      immediate || count === 0
        ? { bindGroupLayouts: [layout], immediateSize: count * 4 }
        : { bindGroupLayouts: [layout, this.parameters.layout] };
    const descriptor = {
      label: kernel.name,
      layout: gpu.createPipelineLayout(arrangement),
      compute: { module },
    };
    return { module, layout, descriptor };
  }
}

async function faultIn(kernel: Kernel, module: GPUShaderModule, reason: string): Promise<KernelError> {
  const { messages } = await module.getCompilationInfo();
  const said = messages.map((m) => `line ${m.lineNum}:${m.linePos} ${m.type}: ${m.message}`).join("\n");
  return new KernelError({
    where: `kernel ${kernel.name}`,
    expected: "WGSL that compiles on this adapter",
    got: `${said || reason}\n${numberedLines(kernel.text)}\n`,
    remedy: "fix the line named first",
  });
}
