// Runs in Deno: compiles kernels with naga, the compiler of Deno, Firefox and wgpu, and prints one line for each that is refused.

/** A kernel as it crosses to Deno. */
export interface KernelText {
  readonly name: string;
  readonly text: string;
  /** Storage bindings by index, and whether they are written. */
  readonly bindings: readonly { readonly index: number; readonly writable: boolean }[];
  /** Whether it has parameters, a uniform binding of group 1. */
  readonly parameters: boolean;
}

declare const Deno: { args: string[]; readTextFileSync(path: string): string };

const COMPUTE = 4; // GPUShaderStage.COMPUTE

const kernels = JSON.parse(Deno.readTextFileSync(Deno.args[0]!)) as KernelText[];
const adapter = (await navigator.gpu.requestAdapter())!;
const gpu = await adapter.requestDevice({
  requiredFeatures: (["shader-f16"] as const).filter((name) => adapter.features.has(name)),
});
const uniform = gpu.createBindGroupLayout({
  entries: [{ binding: 0, visibility: COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } }],
});
const refused: string[] = [];
for (const { name, text, bindings, parameters } of kernels) {
  gpu.pushErrorScope("validation");
  gpu.pushErrorScope("internal");
  const layout = gpu.createBindGroupLayout({
    entries: bindings.map(({ index, writable }) => ({
      binding: index,
      visibility: COMPUTE,
      buffer: { type: writable ? "storage" : "read-only-storage" },
    })),
  });
  gpu.createComputePipeline({
    layout: gpu.createPipelineLayout({ bindGroupLayouts: parameters ? [layout, uniform] : [layout] }),
    compute: { module: gpu.createShaderModule({ code: text }) },
  });
  const faults = [await gpu.popErrorScope(), await gpu.popErrorScope()].flatMap((error) => error?.message ?? []);
  if (faults.length > 0) refused.push(`${name}: ${faults.join("\n")}`);
}
console.log(JSON.stringify({ compiled: kernels.length - refused.length, refused }));
