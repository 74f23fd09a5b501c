import { OptionError, OverBudgetError, shown } from "../../base/errors.js";
import { checkOptions } from "../../base/options.js";
import type { CheckpointLocation } from "../../io/checkpoint.js";
import type { CacheType } from "../../kernels/kv-format.js";
import { HostCache } from "../../layers/host-cache.js";
import type { StorageDtype, StoredType } from "../../layers/weights.js";
import type { DryRunFacts } from "../../runtime/dry-run-gpu.js";
import type { DtypeByPart } from "../llava-onevision/dtype-by-part.js";
import type { ModelPlan } from "../llava-onevision/model-plan.js";
import { atLeast, type EstimateOptions, inspect, type Subject, total } from "./estimate.js";
import {
  type BytesByPart,
  type Footprint,
  footprint,
  LAYERS_PLAN,
  neededBinding,
  STREAMING_PLANS,
  weightsOf,
} from "./footprint.js";
import { planWithinBytes } from "./streaming-estimate.js";

/** Bits per element, including scales. */
const BITS: Record<StoredType, number> = { f32: 32, f16: 16, bf16: 16, q8: 8.5, q4: 5 };
const CACHE_BITS: Record<CacheType, number> = { f32: 32, f16: 16, q8: 8.5 };

/** Memory that a model may use on the adapter together with one session. */
export interface MemoryBudget {
  readonly bytes: number;
  /** Maximum tiles of a picture or frames of a clip; the checkpoint's maximum if not given, 0 for text only. */
  readonly tiles?: number;
}

/**
 * Where the weights of the decoder's layers are. "resident": on the device. "stream": as many as fit `memoryBudget` stay there, none without
 * a budget; the others are read again for every pass. "auto": like "stream" if they do not all fit, else like "resident".
 */
export type WeightsPlacement = "auto" | "resident" | "stream";

const PLACEMENTS: readonly WeightsPlacement[] = ["auto", "resident", "stream"];

interface Step {
  /** Widest storage dtypes of matrices and KV cache. */
  readonly language: StoredType;
  readonly others: StoredType;
  readonly cache: CacheType;
}

/** Settings of decreasing memory, ordered by loss of precision. The vision cache is disabled in all of them. */
const STEPS: readonly Step[] = [
  { language: "f32", others: "f32", cache: "f32" },
  { language: "f32", others: "f32", cache: "f16" },
  { language: "f16", others: "f16", cache: "f16" },
  { language: "q8", others: "q8", cache: "f32" },
  { language: "q8", others: "q8", cache: "f16" },
  { language: "q8", others: "q8", cache: "q8" },
  { language: "q4", others: "q8", cache: "f16" },
  { language: "q4", others: "q8", cache: "q8" },
  { language: "q4", others: "q4", cache: "f16" },
  { language: "q4", others: "q4", cache: "q8" },
];

/** Shorter contexts, tried with all steps after the given one. */
const SHORTER_CONTEXTS = [4096, 2048, 1024] as const;

interface Setting {
  readonly dtype: DtypeByPart;
  readonly cacheType: CacheType;
  readonly visionCacheBytes: number;
  readonly contextTokens: number;
}

interface Need extends Setting, Pick<Footprint, "layerBytes" | "slots" | "headBytes"> {
  readonly plan: ModelPlan | undefined;
  readonly weightsBytes: number;
  readonly cacheBytes: number;
  readonly activationBytes: number;
  readonly totalBytes: number;
  /** Tiles that the activations assume. */
  readonly tiles: number;
}

/** Options of loading that decide where weights are. */
type PlanOptions = Omit<EstimateOptions, "tiles" | "memoryBudget"> & {
  adapter?: unknown;
  mergeAdapters?: boolean | undefined;
  hostBudget?: number;
};

/** What a model does to keep to a memory budget. */
export interface BudgetPlan {
  /** Which layers stay on the device; undefined for all. */
  readonly plan: ModelPlan | undefined;
  /** Rows of the KV caches of all sessions; undefined without a budget. */
  readonly cacheRows: number | undefined;
}

/**
 * Returns which layers stay on the device so that a model with one session needs at most its budget, and the rows of all sessions' KV caches
 * that it leaves room for. Throws OverBudgetError if that is impossible; the message has the numbers and the nearest setting that fits. Reads config files and headers only. Throws
 * CheckpointError, SourceError, OptionError, AbortedError.
 */
export async function planWithin(
  location: CheckpointLocation,
  budget: number | MemoryBudget | undefined,
  placement: WeightsPlacement,
  options: PlanOptions,
): Promise<BudgetPlan> {
  const { hostBudget } = options;
  checkHostBudget(hostBudget, placement);
  const { plan, cacheRows } = await planOf(location, budget, placement, options);
  if (!plan || !hostBudget) return { plan, cacheRows };
  return { plan: { ...plan, hostCache: new HostCache(hostBudget) }, cacheRows };
}

function checkHostBudget(given: number | undefined, placement: WeightsPlacement): void {
  if (given === undefined || (given >= 0 && placement !== "resident")) return;
  throw new OptionError({
    where: "hostBudget",
    expected: placement === "resident" ? 'weights "auto" or "stream" beside it' : "a number of bytes, 0 or above",
    got: placement === "resident" ? '"resident"' : shown(given),
    remedy: "leave it out: layers that stay on the device are read once",
  });
}

async function planOf(
  location: CheckpointLocation,
  budget: number | MemoryBudget | undefined,
  placement: WeightsPlacement,
  options: PlanOptions,
): Promise<BudgetPlan> {
  if (!PLACEMENTS.includes(placement)) {
    throw new OptionError({
      where: "weights",
      expected: PLACEMENTS.map((name) => `"${name}"`).join(" or "),
      got: shown(placement),
      remedy: "leave it out for weights that stay on the device",
    });
  }
  // What an adapter adds to the head is added by `Linear`.
  const plans = options.adapter === undefined || options.mergeAdapters ? STREAMING_PLANS : [LAYERS_PLAN];
  if (budget === undefined) return { plan: placement === "stream" ? plans.at(-1) : undefined, cacheRows: undefined };
  const { bytes: budgetBytes, tiles } = typeof budget === "object" && budget !== null ? budget : { bytes: budget };
  if (typeof budget === "object") checkOptions("memoryBudget", budget, ["bytes", "tiles"]);
  if (!(budgetBytes > 0)) {
    throw new OptionError({
      where: "memoryBudget",
      expected: "a number of bytes above 0",
      got: shown(budgetBytes),
      remedy: "a number of bytes, such as 2 * 2 ** 30, or leave it out for no limit",
    });
  }
  return inspect(location, { ...options, ...(tiles !== undefined && { tiles }) }, (subject) => {
    const given = { dtype: subject.dtype, ...subject.use };
    const all = new Needs(subject);
    const need = all.of(given);
    if (placement !== "stream" && need.totalBytes <= budgetBytes) {
      return { plan: undefined, cacheRows: rowsWithin(budgetBytes, need) };
    }
    const { layers } = subject.described.config.text;
    const sized = plans.map((base) => {
      const needs = streamingNeeds(subject, base);
      return { base, needs, need: needs.of(given) };
    });
    const plan = planWithinBytes(budgetBytes, layers, plans, (base) => sized[plans.indexOf(base)]!.need);
    if (placement === "resident") {
      const streams = plan ? '; or with weights "auto": layers that do not fit stream' : "";
      throw overBudget(all, need, budgetBytes, streams);
    }
    if (plan) {
      const own = sized.find(({ base }) => base.everything === plan.everything)!.need;
      return { plan, cacheRows: rowsWithin(budgetBytes - plan.resident * own.layerBytes, own) };
    }
    const [least] = sized.sort((a, b) => a.need.totalBytes - b.need.totalBytes);
    throw overBudget(least!.needs, least!.need, budgetBytes);
  });
}

/** Rows of KV caches for which a budget has room: those of one session, and what else fits. */
function rowsWithin(budgetBytes: number, { contextTokens, cacheBytes, totalBytes }: Need): number {
  return Math.floor((contextTokens * (cacheBytes + budgetBytes - totalBytes)) / cacheBytes);
}

/** The needs where all layers stream. */
function streamingNeeds(subject: Subject, plan: ModelPlan): Needs {
  return new Needs({ ...subject, use: { ...subject.use, plan } });
}

function overBudget(needs: Needs, need: Need, budgetBytes: number, otherwise = ""): OverBudgetError {
  const { fitting, least } = nearest(needs, need, budgetBytes);
  const weights = need.plan
    ? `weights without those that stream ${mebibytes(need.weightsBytes)}`
    : `weights ${mebibytes(need.weightsBytes)}`;
  return new OverBudgetError(
    {
      where: needs.subject.described.name,
      expected: `at most ${mebibytes(budgetBytes)} (memoryBudget)`,
      got: `${mebibytes(need.totalBytes)}: ${weights}, cache of ${need.contextTokens} tokens ${mebibytes(need.cacheBytes)}, vision cache ${mebibytes(need.visionCacheBytes)}, activations with ${need.tiles} tiles ${mebibytes(need.activationBytes)}`,
      remedy: `${
        fitting
          ? `with ${changes(need, fitting)} it needs ${mebibytes(fitting.totalBytes)}`
          : `no setting fits: even with ${changes(need, least)} it needs ${mebibytes(least.totalBytes)}`
      }${otherwise}`,
    },
    need.totalBytes,
    budgetBytes,
  );
}

/** Memory needs of settings, memoised. */
class Needs {
  readonly #facts: DryRunFacts;
  readonly #weights = new Map<string, number>();
  readonly #rest = new Map<string, Omit<Footprint, "weights">>();
  readonly given: DtypeByPart;

  constructor(readonly subject: Subject) {
    const { described, dtype, use, facts } = subject;
    // The adapter's limits are checked on use, not here.
    this.#facts = atLeast(facts, neededBinding(described, dtype, use, facts));
    this.given = dtype;
  }

  of(setting: Setting): Need {
    const { dtype, cacheType, contextTokens, visionCacheBytes: most } = setting;
    const weightsBytes = memoised(this.#weights, JSON.stringify([dtype, contextTokens]), () =>
      total(this.#weightsOf(dtype, contextTokens).weights),
    );
    const key = JSON.stringify([cacheType, contextTokens, most]);
    const { plan } = this.subject.use;
    const { cacheBytes, visionCacheBytes, activationBytes, tiles, ...ring } = memoised(this.#rest, key, () =>
      footprint(
        this.#described(contextTokens),
        this.given,
        { ...this.subject.use, cacheType, contextTokens, visionCacheBytes: most },
        this.#facts,
      ),
    );
    const totalBytes = weightsBytes + cacheBytes + visionCacheBytes + activationBytes;
    const bytes = { weightsBytes, cacheBytes, visionCacheBytes, activationBytes, totalBytes };
    return { ...setting, plan, tiles, ...ring, ...bytes };
  }

  /** The widest storage dtype of each part at present. */
  get widest(): Record<keyof DtypeByPart, StoredType> {
    const { storageDtypes } = this.#weightsOf(this.given, this.subject.use.contextTokens);
    const widest = { vision: "q4", projector: "q4", language: "q4", embed: "q4" } as Record<
      keyof DtypeByPart,
      StoredType
    >;
    for (const part of PARTS)
      for (const type of storageDtypes[part]) if (BITS[type] > BITS[widest[part]]) widest[part] = type;
    return widest;
  }

  #weightsOf(dtype: DtypeByPart, contextTokens: number): ReturnType<typeof weightsOf> {
    return weightsOf(this.#described(contextTokens), dtype, this.#facts, this.subject.use.plan);
  }

  /** The checkpoint with another context length, which also shortens its tables. */
  #described(contextTokens: number): Subject["described"] {
    const { described, use } = this.subject;
    if (contextTokens === use.contextTokens) return described;
    const { config } = described;
    return { ...described, config: { ...config, text: { ...config.text, maxPositions: contextTokens } } };
  }
}

const PARTS = ["vision", "projector", "language", "embed"] as const satisfies readonly (keyof BytesByPart)[];

/** Returns the first setting within the budget, and the smallest one of all. */
function nearest(needs: Needs, need: Need, budgetBytes: number): { fitting: Need | undefined; least: Need } {
  const { widest } = needs;
  const lower = (given: StorageDtype, now: StoredType, most: StoredType): StorageDtype =>
    BITS[most] < BITS[now] ? most : given;
  const contexts = [need.contextTokens, ...SHORTER_CONTEXTS.filter((tokens) => tokens < need.contextTokens)];
  let least = need;
  for (const contextTokens of contexts) {
    for (const { language, others, cache } of STEPS) {
      const tried = needs.of({
        contextTokens,
        visionCacheBytes: 0,
        cacheType: CACHE_BITS[cache] < CACHE_BITS[need.cacheType] ? cache : need.cacheType,
        dtype: {
          vision: lower(need.dtype.vision, widest.vision, others),
          projector: lower(need.dtype.projector, widest.projector, others),
          language: lower(need.dtype.language, widest.language, language),
          embed: lower(need.dtype.embed, widest.embed, others),
        },
      });
      if (tried.totalBytes <= budgetBytes) return { fitting: tried, least };
      if (tried.totalBytes < least.totalBytes) least = tried;
    }
  }
  return { fitting: undefined, least };
}

/** Describes the options that change one setting to another. */
function changes(from: Setting, to: Setting): string {
  const words: string[] = [];
  if (to.visionCacheBytes !== from.visionCacheBytes) words.push(`visionCacheBytes ${to.visionCacheBytes}`);
  const types = new Set(PARTS.map((part) => to.dtype[part]));
  const changed = PARTS.filter((part) => to.dtype[part] !== from.dtype[part]);
  if (changed.length > 0) {
    const parts = PARTS.filter((part) => to.dtype[part] !== "auto").map((part) => `${part}: "${to.dtype[part]}"`);
    words.push(types.size === 1 ? `dtype "${[...types][0]}"` : `dtype { ${parts.join(", ")} }`);
  }
  if (to.cacheType !== from.cacheType) words.push(`cacheDtype "${to.cacheType}"`);
  if (to.contextTokens !== from.contextTokens) words.push(`contextTokens ${to.contextTokens}`);
  return words.join(", ") || "these options";
}

function memoised<T>(known: Map<string, T>, key: string, find: () => T): T {
  const found = known.get(key) ?? find();
  known.set(key, found);
  return found;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
