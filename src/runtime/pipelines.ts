import { KernelError, type OcellusError } from "./errors.js";
import { type Kernel, numberedLines } from "./kernel.js";

/** GPUShaderStage.COMPUTE; the global does not exist in Node. */
export const COMPUTE_STAGE = 4;

export interface Pipeline {
  /** No two pipelines of a device have the same. */
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Compiled kernels by their text. A kernel that does not compile is reported once, with its numbered lines. */
export class Pipelines {
  readonly #made = new Map<string, Pipeline>();
  readonly #checks = new Set<Promise<void>>();
  #count = 0;

  constructor(
    readonly gpu: GPUDevice,
    /** Group 1: the parameters. */
    readonly parameterLayout: GPUBindGroupLayout,
    readonly report: (fault: OcellusError) => void,
  ) {}

  of(kernel: Kernel): Pipeline {
    let made = this.#made.get(kernel.text);
    if (!made) {
      made = this.#make(kernel);
      this.#made.set(kernel.text, made);
    }
    return made;
  }

  /** Waits until every kernel made so far is known to be good or reported. */
  async checked(): Promise<void> {
    await Promise.all(this.#checks);
  }

  #make(kernel: Kernel): Pipeline {
    const { gpu } = this;
    gpu.pushErrorScope("validation");
    const module = gpu.createShaderModule({ label: kernel.name, code: kernel.text });
    const layout = gpu.createBindGroupLayout({
      label: kernel.name,
      entries: kernel.bindings.map(({ index, writable }) => ({
        binding: index,
        visibility: COMPUTE_STAGE,
        buffer: { type: writable ? ("storage" as const) : ("read-only-storage" as const) },
      })),
    });
    const pipeline = gpu.createComputePipeline({
      label: kernel.name,
      layout: gpu.createPipelineLayout({
        bindGroupLayouts: kernel.parameters.length > 0 ? [layout, this.parameterLayout] : [layout],
      }),
      compute: { module },
    });
    const check = gpu.popErrorScope().then(async (error) => {
      if (!error) return;
      const { messages } = await module.getCompilationInfo();
      const said = messages.map((m) => `line ${m.lineNum}:${m.linePos} ${m.type}: ${m.message}`).join("\n");
      this.#made.delete(kernel.text);
      this.report(
        new KernelError({
          where: `kernel ${kernel.name}`,
          expected: "WGSL that compiles on this adapter",
          got: `${said || error.message}\n${numberedLines(kernel.text)}\n`,
          remedy: "mend the line named first",
        }),
      );
    });
    this.#checks.add(check);
    // A lost device rejects the scope; the loss itself is reported by the device.
    check.catch(() => {}).finally(() => this.#checks.delete(check));
    return { id: this.#count++, pipeline, layout };
  }
}
