import { platform } from "#platform";
import { causeMessage } from "../base/cause-message.js";
import { NoAdapterError } from "../base/errors.js";
import { type AdapterRequest, adapterName, isSoftware } from "../platform/platform.js";
import type { SubgroupMatrix } from "./feature-self-test.js";
import { statedTuning, storedTuning, type Tuning } from "./tuning.js";

/** Properties of the opened adapter, read by the `choose` functions and by reports. */
export interface AdapterFacts {
  /** A readable name, e.g. "google swiftshader (SwiftShader driver 5.0.0)". */
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** True when the adapter runs on the CPU. */
  readonly onCPU: boolean;
  /** 0 if the adapter has no subgroups. */
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** Subgroup size if the lane-broadcast kernels are the fast ones (CPU adapters), else 0. */
  readonly broadcastLanes: 0 | 4 | 8;
  readonly f16: boolean;
  /** Whether WGSL has dot products of packed bytes (the language feature packed_4x8_integer_dot_product). */
  readonly packedDots: boolean;
  /** The subgroup-matrix configuration to use; undefined without one, or if it failed the self-test. */
  readonly subgroupMatrix?: SubgroupMatrix | undefined;
  readonly timestamps: boolean;
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  /** Workgroup memory. */
  readonly maxWorkgroupBytes: number;
  /** Immediate data of a pass; 0 if not supported. */
  readonly immediateBytes: number;
  /** Kernel parameters that differ from the defaults, read by the `choose` functions: see the option `tuned`. */
  readonly tuning: Tuning;
  /** Why this adapter was chosen. */
  readonly reasons: readonly string[];
}

/** Which adapter `Device.open` chooses, and which of its features it enables. */
export interface OpenOptions extends AdapterRequest {
  /** "none" disables every optional feature and uses the default limits of the specification. */
  features?: "all" | "none";
  /** `false` leaves `shader-f16` out, and what depends on it. */
  f16?: boolean;
  /** `false` leaves subgroup matrices out. */
  matrices?: boolean;
  /** Caps the size of a tensor in bytes below what the adapter allows: emulates a smaller adapter. */
  maxBindingBytes?: number;
  /**
   * `true` uses the kernel parameters that `ocellus tune` stored for the adapter (Node); an object gives them. Defaults to
   * OCELLUS_TUNED, else false. Those of OCELLUS_TUNING replace stored ones, unless this is `false` or an object.
   */
  tuned?: boolean | Tuning;
}

/** Optional features, enabled where the adapter has them. */
export const WANTED: readonly GPUFeatureName[] = ["subgroups", "shader-f16", "timestamp-query"];

/** Dawn's experimental feature for subgroup matrices; not in the WebGPU standard yet. */
const MATRICES = "chromium-experimental-subgroup-matrix" as GPUFeatureName;
/** Workgroup size of the kernels that use them; Dawn requires it to be a multiple of the maximum subgroup size. */
const MATRIX_THREADS = 128;

/** Limits that are raised to the adapter's maximum; the others keep the specification's defaults. */
const RAISED = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
] as const;

/** Opens an adapter and a device on it. Throws NoAdapterError, and OptionError for a wrong OCELLUS_TUNING. */
export async function openAdapter(options: OpenOptions): Promise<{ gpu: GPUDevice; facts: AdapterFacts }> {
  const given = typeof options.tuned === "object" || options.tuned === false;
  const stated = given ? undefined : statedTuning();
  const { adapter, reasons: found } = await platform.requestAdapter(options);
  const bare = options.features === "none";
  const { f16 = true, matrices = true } = options;
  const reasons = [
    ...found,
    ...(f16 ? [] : ["f16 is not used: it was switched off."]),
    ...(matrices ? [] : ["Subgroup matrices are not used: they were switched off."]),
  ];
  const offered = new Set([...adapter.features].filter((name) => f16 || name !== "shader-f16"));
  const matrix = bare || !matrices ? undefined : matrixOf({ features: offered, info: adapter.info });
  const features = bare ? [] : WANTED.filter((name) => offered.has(name));
  // An experimental feature may be listed and still be refused, unless its flag is set.
  const switched = matrix && (await requestDevice(adapter, [...features, MATRICES], bare).catch(() => undefined));
  const gpu = switched ?? (await requestDevice(adapter, features, bare));
  const known = factsOf(gpu, adapter.info, reasons);
  const facts = { ...known, subgroupMatrix: switched && matrix, immediateBytes: bare ? 0 : known.immediateBytes };
  const tested = facts.onCPU ? { gpu, facts } : await selfTest(gpu, facts, options);
  const maxBindingBytes = Math.min(tested.facts.maxBindingBytes, options.maxBindingBytes ?? Number.POSITIVE_INFINITY);
  return { gpu: tested.gpu, facts: await tuned({ ...tested.facts, maxBindingBytes }, options.tuned, stated) };
}

/** Returns the facts with the given tuning, or with the stored one if requested, and that of the environment over it. */
async function tuned(
  facts: AdapterFacts,
  wanted: OpenOptions["tuned"],
  stated: ReturnType<typeof statedTuning>,
): Promise<AdapterFacts> {
  if (typeof wanted === "object") return { ...facts, tuning: wanted };
  const stored = (wanted ?? platform.settings?.wanted) ? await storedTuning(facts.name) : undefined;
  const sources = [stored, stated].filter((source) => source !== undefined);
  return {
    ...facts,
    tuning: Object.assign({}, ...sources.map(({ tuning }) => tuning)),
    reasons: [...facts.reasons, ...sources.map(({ reason }) => reason)],
  };
}

async function requestDevice(adapter: GPUAdapter, features: GPUFeatureName[], bare: boolean): Promise<GPUDevice> {
  const limits: Record<string, number> = {};
  if (!bare) for (const name of RAISED) limits[name] = adapter.limits[name];
  try {
    const gpu = await adapter.requestDevice({ label: "ocellus", requiredFeatures: features, requiredLimits: limits });
    // A program that ends by an error of its own during GPU work would crash in the binding.
    const release = platform.threads?.onExit(() => gpu.destroy());
    if (release) gpu.lost.then(release);
    return gpu;
  } catch (cause) {
    throw new NoAdapterError({
      where: "WebGPU",
      expected: "a device on the adapter",
      got: causeMessage(cause),
      remedy: "run `ocellus doctor` for the adapter's limits and features",
      cause,
    });
  }
}

/**
 * Self-tests each feature that drivers are known to implement wrongly, and disables those that fail. If a test loses the device,
 * another is opened without these features.
 */
async function selfTest(
  gpu: GPUDevice,
  facts: AdapterFacts,
  options: OpenOptions,
): Promise<{ gpu: GPUDevice; facts: AdapterFacts }> {
  const { subgroupMatrix: matrix } = facts;
  if (!facts.f16 && !matrix) return { gpu, facts };
  const reasons = [...facts.reasons];
  let lost = false;
  gpu.lost.then(() => {
    lost = true;
  });
  const { testF16, testSubgroupMatrix } = await import("./feature-self-test.js");
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

/** Returns the best subgroup-matrix configuration that the kernels support: f32 factors before f16, large before small. */
export function matrixOf(adapter: {
  readonly features: ReadonlySet<string>;
  readonly info: GPUAdapterInfo;
}): SubgroupMatrix | undefined {
  const { features, info } = adapter;
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

/** A configuration as Dawn lists it in the adapter's info. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Reads the facts of a GPUDevice. */
export function factsOf(gpu: GPUDevice, info: GPUAdapterInfo, reasons: readonly string[]): AdapterFacts {
  const subgroups = gpu.features.has("subgroups");
  const onCPU = isSoftware(info);
  const lanes = subgroups && info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : 0;
  return {
    name: adapterName(info),
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description,
    onCPU,
    subgroupMinSize: subgroups ? (info.subgroupMinSize ?? 0) : 0,
    subgroupMaxSize: subgroups ? (info.subgroupMaxSize ?? 0) : 0,
    broadcastLanes: onCPU && (lanes === 4 || lanes === 8) ? lanes : 0,
    f16: gpu.features.has("shader-f16"),
    packedDots: platform.languageFeatures().has("packed_4x8_integer_dot_product"),
    timestamps: gpu.features.has("timestamp-query"),
    maxBindingBytes: gpu.limits.maxStorageBufferBindingSize,
    maxBufferBytes: gpu.limits.maxBufferSize,
    maxWorkgroupBytes: gpu.limits.maxComputeWorkgroupStorageSize,
    // Undefined in browsers without immediate data.
    immediateBytes: gpu.limits.maxImmediateSize ?? 0,
    tuning: {},
    reasons,
  };
}
