import { platform } from "#platform";
import type { AdapterRequest } from "../platform/platform.js";
import { NoAdapterError } from "./errors.js";

/** What is known of the opened adapter; `choose` functions and reports read it. */
export interface AdapterFacts {
  /** As people would call it, e.g. "google swiftshader (SwiftShader driver 5.0.0)". */
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** True when the adapter runs on the CPU. */
  readonly onCPU: boolean;
  /** 0 where subgroups are not offered. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** Lanes of a subgroup where kernels that broadcast from constant lanes are the fast ones (on the CPU); 0 elsewhere. */
  readonly broadcastLanes: 0 | 4 | 8;
  readonly f16: boolean;
  readonly timestamps: boolean;
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  /** Why this adapter was taken. */
  readonly reasons: readonly string[];
}

export interface OpenOptions extends AdapterRequest {
  /** "none" leaves every optional feature off and takes the smallest limits of the specification. */
  features?: "all" | "none";
  /** No tensor over this many bytes even where the adapter allows more: shows on a large adapter what a small one will do. */
  maxBindingBytes?: number;
}

/** Features used where the adapter has them; nothing depends on them. */
const WANTED: readonly GPUFeatureName[] = ["subgroups", "shader-f16", "timestamp-query"];

/** Limits raised to what the adapter offers; the others stay at the specification's defaults. */
const RAISED = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/** Opens an adapter and a device on it. Throws NoAdapterError with what to do. */
export async function openAdapter(options: OpenOptions): Promise<{ gpu: GPUDevice; facts: AdapterFacts }> {
  const { adapter, reasons } = await platform.requestAdapter(options);
  const bare = options.features === "none";
  const features = bare ? [] : WANTED.filter((name) => adapter.features.has(name));
  const limits: Record<string, number> = {};
  if (!bare) for (const name of RAISED) limits[name] = adapter.limits[name];
  let gpu: GPUDevice;
  try {
    gpu = await adapter.requestDevice({ label: "ocellus", requiredFeatures: features, requiredLimits: limits });
  } catch (cause) {
    throw new NoAdapterError({
      where: "WebGPU",
      expected: "a device on the adapter",
      got: String(cause instanceof Error ? cause.message : cause),
      remedy: "run `ocellus doctor` for the adapter's limits and features",
      cause,
    });
  }
  const facts = factsOf(gpu, adapter.info, reasons);
  const maxBindingBytes = Math.min(facts.maxBindingBytes, options.maxBindingBytes ?? facts.maxBindingBytes);
  return { gpu, facts: { ...facts, maxBindingBytes } };
}

/** Facts of a device that was made elsewhere. */
export function factsOf(gpu: GPUDevice, info: GPUAdapterInfo, reasons: readonly string[]): AdapterFacts {
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  const subgroups = gpu.features.has("subgroups");
  const onCPU = /swiftshader|llvmpipe|lavapipe|software/i.test(text);
  const lanes = subgroups && info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : 0;
  return {
    name:
      [info.vendor, info.architecture].filter(Boolean).join(" ") + (info.description ? ` (${info.description})` : ""),
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description,
    onCPU,
    subgroupMinSize: subgroups ? (info.subgroupMinSize ?? 0) : 0,
    subgroupMaxSize: subgroups ? (info.subgroupMaxSize ?? 0) : 0,
    broadcastLanes: onCPU && (lanes === 4 || lanes === 8) ? lanes : 0,
    f16: gpu.features.has("shader-f16"),
    timestamps: gpu.features.has("timestamp-query"),
    maxBindingBytes: gpu.limits.maxStorageBufferBindingSize,
    maxBufferBytes: gpu.limits.maxBufferSize,
    reasons,
  };
}
