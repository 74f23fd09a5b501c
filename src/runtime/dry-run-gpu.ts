import type { AdapterFacts } from "./adapter.js";

/** What {@link DryRunGPU} looks like. */
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
 * A GPU that computes nothing and counts the bytes of its buffers: `Device.from(imagined.gpu)` does all that a device does but the
 * work, so what a model takes is found by the code that takes it.
 */
export class DryRunGPU {
  /** Bytes of buffers that were made and not destroyed. */
  heldBytes = 0;
  /** The most that was held so far. */
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
      createBuffer: ({ size, label = "" }: GPUBufferDescriptor) => this.#buffer(size, label),
    };
    this.gpu = new Proxy(parts, {
      get: (known, name) => (name in known ? known[name as keyof typeof known] : NOTHING),
    }) as unknown as GPUDevice;
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

/** Whatever is asked of it or called on it is itself again; awaited, it is there at once. */
const NOTHING: unknown = new Proxy(() => NOTHING, {
  get: (_, name) => (name === "then" ? undefined : NOTHING),
});
