import type { StorageDtype } from "../../io/weights.js";
import { OptionError } from "../../runtime/errors.js";
import { checkOptions, suggestion } from "../../runtime/options.js";

/** The parts of the model whose weights may be held differently; `embed` is the embedding table and the head. */
export interface DtypeByPart {
  vision: StorageDtype;
  projector: StorageDtype;
  language: StorageDtype;
  embed: StorageDtype;
}

const STORAGE_DTYPES: readonly StorageDtype[] = ["auto", "f32", "f16", "bf16", "q8", "q4"];

/** The dtype of each part; throws OptionError for an unknown part or type. */
export function dtypeByPart(dtype: StorageDtype | Partial<DtypeByPart> = "auto"): DtypeByPart {
  const byPart = typeof dtype === "object" && dtype !== null ? dtype : undefined;
  // Anything that is neither a name nor an object is no name either, and refused below.
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
      remedy: suggestion(String(type), STORAGE_DTYPES) ?? "leave it out to hold weights as stored",
    });
  }
  return parts;
}
