import type { AdapterFacts } from "../../src/runtime/adapter.js";
import type { Device } from "../../src/runtime/device.js";

// Without a test runner: used in Deno and in Firefox too.

/** Facts that kernels are chosen by, for every kind of adapter there is; those that a test has no adapter of included. */
export const ADAPTERS: Readonly<Record<string, Partial<AdapterFacts>>> = {
  "CPU, subgroups of 4": { onCPU: true, subgroupMinSize: 4, subgroupMaxSize: 4, broadcastLanes: 4 },
  "CPU, subgroups of 8": { onCPU: true, subgroupMinSize: 8, subgroupMaxSize: 8, broadcastLanes: 8 },
  "CPU, no subgroups": { onCPU: true, subgroupMinSize: 0, subgroupMaxSize: 0, broadcastLanes: 0 },
  "GPU, subgroups of 32": { onCPU: false, subgroupMinSize: 32, subgroupMaxSize: 32, broadcastLanes: 0 },
  "GPU, no subgroups": { onCPU: false, subgroupMinSize: 0, subgroupMaxSize: 0, broadcastLanes: 0, f16: false },
  "GPU, activations in 8 bits": {
    onCPU: false,
    subgroupMinSize: 0,
    subgroupMaxSize: 0,
    broadcastLanes: 0,
    f16: false,
    packedDots: true,
    tuning: { "matmul.activations": "q8" },
  },
  "GPU, matrices 16×16×16 of f16": onGPU({ m: 16, n: 16, k: 16, input: "f16" }, 49152),
  "GPU, matrices 8×16×16 of f16": onGPU({ m: 8, n: 16, k: 16, input: "f16" }, 32768),
  "GPU, matrices 16×16×16 of f16, little memory": onGPU({ m: 16, n: 16, k: 16, input: "f16" }, 16384),
  "GPU, large tiles of matrices 16×16×16 of f16": {
    ...onGPU({ m: 16, n: 16, k: 16, input: "f16" }, 49152),
    tuning: { "matmul.units": "large matrices" },
  },
  "GPU, matrices 8×8×8 of f32": onGPU({ m: 8, n: 8, k: 8, input: "f32" }, 32768),
};

function onGPU(
  subgroupMatrix: NonNullable<AdapterFacts["subgroupMatrix"]>,
  maxWorkgroupBytes: number,
): Partial<AdapterFacts> {
  return {
    onCPU: false,
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    broadcastLanes: 0,
    f16: true,
    subgroupMatrix,
    maxWorkgroupBytes,
  };
}

/** Makes a device look like another to the functions that choose kernels. */
export function forge(device: Device, facts: Partial<AdapterFacts>): void {
  Object.assign(device, { facts: { ...device.facts, ...facts } });
}
