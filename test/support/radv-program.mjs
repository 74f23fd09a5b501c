/**
 * Compiles kernels with Dawn and the only Vulkan driver, Mesa's RADV, in a process of its own, whose standard error gets the driver's
 * statistics. Argument: a JSON file of `KernelText[]`. Prints the driver, and a line before each kernel with its index, to standard error too.
 */
import { readFileSync } from "node:fs";
import { create } from "webgpu";

const COMPUTE = 4; // GPUShaderStage.COMPUTE
const FEATURES = ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"];

/** Kept for ever: a collected instance takes its devices and the process down with it. */
globalThis.dawn = create(["enable-dawn-features=allow_unsafe_apis"]);
const adapter = await globalThis.dawn.requestAdapter();
const print = (line) => process.stderr.write(`${line}\n`);
if (!adapter) process.exit(1);
print(`@driver ${adapter.info.description}`);
const gpu = await adapter.requestDevice({
  requiredFeatures: FEATURES.filter((name) => adapter.features.has(name)),
  requiredLimits: { maxComputeWorkgroupStorageSize: adapter.limits.maxComputeWorkgroupStorageSize },
});

const uniform = gpu.createBindGroupLayout({
  entries: [{ binding: 0, visibility: COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } }],
});
for (const [at, { text, bindings, parameters }] of JSON.parse(readFileSync(process.argv[2], "utf8")).entries()) {
  print(`@kernel ${at}`);
  const layout = gpu.createBindGroupLayout({
    entries: bindings.map(({ index, writable }) => ({
      binding: index,
      visibility: COMPUTE,
      buffer: { type: writable ? "storage" : "read-only-storage" },
    })),
  });
  const bindGroupLayouts = parameters ? [layout, uniform] : [layout];
  try {
    await gpu.createComputePipelineAsync({
      layout: gpu.createPipelineLayout({ bindGroupLayouts }),
      compute: { module: gpu.createShaderModule({ code: text }) },
    });
  } catch (error) {
    print(`@refused ${error.message}`);
  }
}
// The null device can't be closed in order.
process.exit(0);
