import type { AdapterFacts } from "./adapter.js";

/** The adapter that a {@link DryRunGPU} mimics. */
export type DryRunFacts = Pick<
  AdapterFacts,
  | "vendor"
  | "architecture"
  | "description"
  | "onCPU"
  | "subgroupMinSize"
  | "subgroupMaxSize"
  | "f16"
  | "maxBindingBytes"
  | "maxBufferBytes"
  | "maxWorkgroupBytes"
  | "immediateBytes"
>;

/**
 * A mock GPU that executes nothing and counts the bytes of its buffers. `Device.from(dryRun.gpu)` runs the real model code on it, so
 * memory estimates come from the allocations of that code.
 */
export class DryRunGPU {
  /** Bytes of live buffers. */
  heldBytes = 0;
  /** Maximum of `heldBytes` so far. */
  peakBytes = 0;
  readonly gpu: GPUDevice;

  constructor(facts: DryRunFacts) {
    const features = new Set<string>();
    if (facts.subgroupMaxSize > 0) features.add("subgroups");
    if (facts.f16) features.add("shader-f16");
    const parts = {
      features,
      limits: {
        maxStorageBufferBindingSize: facts.maxBindingBytes,
        maxBufferSize: facts.maxBufferBytes,
        maxComputeWorkgroupStorageSize: facts.maxWorkgroupBytes,
        maxComputeWorkgroupsPerDimension: 65535,
        maxImmediateSize: facts.immediateBytes,
      },
      adapterInfo: { ...facts, device: "", isFallbackAdapter: facts.onCPU },
      lost: new Promise(() => {}),
      popErrorScope: async () => null,
      // Submissions never complete, so that no rates are learnt from them.
      queue: withNothingElse({ onSubmittedWorkDone: () => new Promise(() => {}) }),
      createBuffer: ({ size, label = "" }: GPUBufferDescriptor) => this.#buffer(size, label),
    };
    this.gpu = withNothingElse(parts) as unknown as GPUDevice;
  }

  #buffer(size: number, label: string): Pick<GPUBuffer, "size" | "label" | "destroy"> {
    this.heldBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.heldBytes);
    const destroy = (): undefined => {
      this.heldBytes -= size;
    };
    return { size, label, destroy };
  }
}

/** Every property and every call returns the object itself; it is not thenable. */
const NOTHING: unknown = new Proxy(() => NOTHING, {
  get: (_, name) => (name === "then" ? undefined : NOTHING),
});

/** Returns an object of which every other property is {@link NOTHING}. */
function withNothingElse<T extends object>(parts: T): T {
  return new Proxy(parts, { get: (known, name) => (name in known ? known[name as keyof T] : NOTHING) });
}
