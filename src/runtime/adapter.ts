import { platform } from "#platform";
import { type AdapterRequest, isSoftware } from "../platform/platform.js";
import { NoAdapterError } from "./errors.js";
import { testF16, testSubgroupMatrix } from "./feature-self-test.js";
import { storedTuning, type Tuning } from "./tuning.js";

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
  /** The matrices that subgroups multiply, where they were found to do it right. */
  readonly subgroupMatrix?: SubgroupMatrix | undefined;
  readonly timestamps: boolean;
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  /** Memory that the invocations of a workgroup share. */
  readonly maxWorkgroupBytes: number;
  /** Parameters that a pass holds as immediate data; 0 where it cannot. */
  readonly immediateBytes: number;
  /** What was chosen for this adapter by measuring; the `choose` functions ask `tuned`. Empty unless `tuned` asks for it. */
  readonly tuning: Tuning;
  /** Why this adapter was taken. */
  readonly reasons: readonly string[];
}

/** A subgroup's product of an m×k and a k×n matrix, added up in f32. */
export interface SubgroupMatrix {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** What the factors are held in. */
  readonly input: "f16" | "f32";
}

/** Which adapter `Device.open` takes, and how much of it. */
export interface OpenOptions extends AdapterRequest {
  /** "none" leaves every optional feature off and takes the smallest limits of the specification. */
  features?: "all" | "none";
  /** No tensor over this many bytes even where the adapter allows more: shows on a large adapter what a small one will do. */
  maxBindingBytes?: number;
  /** The choices that `ocellus tune` stored for the adapter (Node), or given ones; false if not given, or OCELLUS_TUNED. */
  tuned?: boolean | Tuning;
}

/** Features used where the adapter has them; nothing depends on them. */
export const WANTED: readonly GPUFeatureName[] = ["subgroups", "shader-f16", "timestamp-query"];

/** Dawn's name for products of matrices that a subgroup holds; the standard has none yet. */
const MATRICES = "chromium-experimental-subgroup-matrix" as GPUFeatureName;
/** Threads of the workgroups of the kernels that use them; Dawn wants whole subgroups, however large they may be. */
const MATRIX_THREADS = 128;

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
  const matrix = bare ? undefined : matrixOf(adapter);
  const features = bare ? [] : WANTED.filter((name) => adapter.features.has(name));
  // Without its switch, an experimental feature may be listed and still be refused.
  const switched = matrix && (await requestDevice(adapter, [...features, MATRICES], bare).catch(() => undefined));
  const gpu = switched ?? (await requestDevice(adapter, features, bare));
  const known = factsOf(gpu, adapter.info, reasons);
  const facts = { ...known, subgroupMatrix: switched && matrix, immediateBytes: bare ? 0 : known.immediateBytes };
  const tested = facts.onCPU ? { gpu, facts } : await selfTest(gpu, facts, options);
  const maxBindingBytes = Math.min(tested.facts.maxBindingBytes, options.maxBindingBytes ?? Number.POSITIVE_INFINITY);
  return { gpu: tested.gpu, facts: await tuned({ ...tested.facts, maxBindingBytes }, options.tuned) };
}

/** The facts with the choices that were given, or with those stored for the adapter if they are asked for. */
async function tuned(facts: AdapterFacts, wanted: OpenOptions["tuned"]): Promise<AdapterFacts> {
  if (typeof wanted === "object") return { ...facts, tuning: wanted };
  const stored = (wanted ?? platform.settings?.wanted) ? await storedTuning(facts.name) : undefined;
  return stored ? { ...facts, tuning: stored.tuning, reasons: [...facts.reasons, stored.reason] } : facts;
}

async function requestDevice(adapter: GPUAdapter, features: GPUFeatureName[], bare: boolean): Promise<GPUDevice> {
  const limits: Record<string, number> = {};
  if (!bare) for (const name of RAISED) limits[name] = adapter.limits[name];
  try {
    return await adapter.requestDevice({ label: "ocellus", requiredFeatures: features, requiredLimits: limits });
  } catch (cause) {
    throw new NoAdapterError({
      where: "WebGPU",
      expected: "a device on the adapter",
      got: String(cause instanceof Error ? cause.message : cause),
      remedy: "run `ocellus doctor` for the adapter's limits and features",
      cause,
    });
  }
}

/**
 * Computes something small with each feature that drivers are known to have wrong, and leaves out what fails. A driver may
 * lose the device over it; then another is opened without those features.
 */
async function selfTest(
  gpu: GPUDevice,
  facts: AdapterFacts,
  options: OpenOptions,
): Promise<{ gpu: GPUDevice; facts: AdapterFacts }> {
  const { subgroupMatrix: matrix } = facts;
  const reasons = [...facts.reasons];
  let lost = false;
  gpu.lost.then(() => {
    lost = true;
  });
  const halves = facts.f16 ? await testF16(gpu) : undefined;
  if (halves) reasons.push(`f16 is not used: ${halves}.`);
  const f16 = facts.f16 && !halves;
  let subgroupMatrix = lost || (matrix?.input === "f16" && !f16) ? undefined : matrix;
  const wrong = subgroupMatrix && (await testSubgroupMatrix(gpu, subgroupMatrix));
  if (wrong) {
    reasons.push(`Subgroup matrices are not used: ${wrong}.`);
    subgroupMatrix = undefined;
  }
  if (!lost) return { gpu, facts: { ...facts, f16, subgroupMatrix, reasons } };
  const { adapter } = await platform.requestAdapter(options);
  const trusted = WANTED.filter((name) => name !== "shader-f16" && adapter.features.has(name));
  const other = await requestDevice(adapter, trusted, false);
  return { gpu: other, facts: factsOf(other, adapter.info, reasons) };
}

/** The matrices of an adapter that kernels can use: factors in f32 before f16, large before small. */
export function matrixOf({ features, info }: Pick<GPUAdapter, "features" | "info">): SubgroupMatrix | undefined {
  const widest = info.subgroupMaxSize ?? 0;
  if (widest === 0 || MATRIX_THREADS % widest !== 0) return undefined;
  if (!features.has(MATRICES) || !features.has("subgroups")) return undefined;
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> };
  const usable: SubgroupMatrix[] = [];
  for (const { componentType: input, resultComponentType, M: m, N: n, K: k } of subgroupMatrixConfigs) {
    if (resultComponentType !== "f32" || 32 % m !== 0 || 16 % n !== 0 || 16 % k !== 0) continue;
    if (input === "f32" || (input === "f16" && features.has("shader-f16"))) usable.push({ m, n, k, input });
  }
  const worth = ({ m, n, k, input }: SubgroupMatrix): number => m * n * k * (input === "f32" ? 2 ** 16 : 1);
  return usable.sort((a, b) => worth(b) - worth(a))[0];
}

/** As Dawn lists them in the adapter's info. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Facts of a device that was made elsewhere. */
export function factsOf(gpu: GPUDevice, info: GPUAdapterInfo, reasons: readonly string[]): AdapterFacts {
  const subgroups = gpu.features.has("subgroups");
  const onCPU = isSoftware(info);
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
    maxWorkgroupBytes: gpu.limits.maxComputeWorkgroupStorageSize,
    // Browsers that do not know the limit yet have none.
    immediateBytes: gpu.limits.maxImmediateSize ?? 0,
    tuning: {},
    reasons,
  };
}
