import { OptionError } from "../../base/errors.js";
import { checkOptions, suggestion } from "../../base/options.js";
import type { StorageDtype } from "../../layers/weights.js";

/** Storage dtype by part of the model; `embed` is the embedding table and the output head. */
export interface DtypeByPart {
  vision: StorageDtype;
  projector: StorageDtype;
  language: StorageDtype;
  embed: StorageDtype;
}

const STORAGE_DTYPES: readonly StorageDtype[] = ["auto", "f32", "f16", "bf16", "q8", "q4"];

/** Resolves the option `dtype` for each part. Throws OptionError for an unknown part or type. */
export function dtypeByPart(dtype: StorageDtype | Partial<DtypeByPart> = "auto"): DtypeByPart {
  const byPart = typeof dtype === "object" && dtype !== null ? dtype : undefined;
  // Values of other types are rejected below.
  const all = byPart ? "auto" : (dtype as StorageDtype);
  const parts = { vision: all, projector: all, language: all, embed: all };
  checkOptions("dtype", byPart ?? {}, Object.keys(parts));
  for (const [part, type] of Object.entries(byPart ?? {})) {
    if (type !== undefined) parts[part as keyof DtypeByPart] = type;
  }
  for (const [part, type] of Object.entries(parts)) {
    if (STORAGE_DTYPES.includes(type)) continue;
    throw new OptionError({
      where: `dtype of ${part}`,
      expected: STORAGE_DTYPES.join(", "),
      got: String(type),
      remedy: suggestion(String(type), STORAGE_DTYPES) ?? "leave it out to keep the dtype of the checkpoint",
    });
  }
  return parts;
}
