/**
 * `adapter_config.json` of an adapter that PEFT wrote (LoRA, arXiv 2106.09685): `W' = W + scale·B·A`.
 * Source: https://huggingface.co/docs/peft/package_reference/lora
 */
import { CheckpointError } from "../../base/errors.js";
import { isJsonObject, type JsonObject, type JsonValue, showJson } from "../text/json.js";

/** What an adapter's config says about the scale of its products. */
export interface LoraConfig {
  /** Scale of the product of a module's two matrices, from its path and its rank. */
  scaleOf(module: string, rank: number): number;
}

/** Fields whose value changes what an adapter computes, the values that mean LoRA as it is computed here, and what else they say. */
const PLAIN: Readonly<Record<string, readonly JsonValue[]>> = {
  use_dora: [false],
  use_qalora: [false],
  fan_in_fan_out: [false],
  lora_bias: [false],
  bias: ["none"],
  layer_replication: [],
  target_parameters: [],
  trainable_token_indices: [],
  alora_invocation_tokens: [],
  arrow_config: [],
  monteclora_config: [],
  velora_config: [],
  kasa_config: [],
  use_bdlora: [false],
};

/** Reads the config. Throws CheckpointError for kinds of adapters that are not supported, by name. */
export function readLoraConfig(json: JsonValue | undefined, where: string): LoraConfig {
  const fault = (expected: string, got: string, remedy: string): CheckpointError =>
    new CheckpointError({ where, expected, got, remedy });
  if (!isJsonObject(json))
    throw fault("an object", showJson(json ?? null), "save the adapter with PEFT's save_pretrained");
  const kind = json.peft_type;
  if (kind !== "LORA") {
    throw fault(
      '"peft_type": "LORA"',
      showJson(kind ?? null),
      "merge the adapter with PEFT's merge_and_unload, and load the merged checkpoint",
    );
  }
  for (const [field, plain] of Object.entries(PLAIN)) {
    const value = json[field];
    if (value === undefined || value === null || plain.includes(value) || isEmpty(value)) continue;
    throw fault(
      `"${field}" ${plain.length > 0 ? showJson(plain[0]!) : "not set"}`,
      showJson(value),
      "merge the adapter with PEFT's merge_and_unload, and load the merged checkpoint",
    );
  }
  const alpha = numberOf(json.lora_alpha);
  if (alpha === undefined)
    throw fault('a number as "lora_alpha"', showJson(json.lora_alpha ?? null), "save the adapter again");
  const alphas = patterns(json.alpha_pattern, where);
  const isRankStabilised = json.use_rslora === true;
  return {
    scaleOf(module, rank) {
      // PEFT takes the first pattern that matches the end of the path.
      const own = alphas.find(([pattern]) => pattern.test(module))?.[1] ?? alpha;
      return own / (isRankStabilised ? Math.sqrt(rank) : rank);
    },
  };
}

function numberOf(value: JsonValue | undefined): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function isEmpty(value: JsonValue): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/** `alpha_pattern`: expressions for the end of a module's path. */
function patterns(value: JsonValue | undefined, where: string): [RegExp, number][] {
  const entries: JsonObject = isJsonObject(value) ? value : {};
  return Object.entries(entries).map(([pattern, alpha]) => {
    const number = numberOf(alpha);
    try {
      if (number !== undefined) return [new RegExp(`^(?:.*\\.)?(?:${pattern})$`), number];
    } catch {
      // Reported below.
    }
    throw new CheckpointError({
      where: `${where}: alpha_pattern`,
      expected: "expressions with a number each",
      got: `${JSON.stringify(pattern)}: ${showJson(alpha)}`,
      remedy: "save the adapter with PEFT's save_pretrained",
    });
  });
}
