import type { HoldType } from "../../io/weights.js";
import { OptionError } from "../../runtime/errors.js";
import { checkOptions, suggestion } from "../../runtime/options.js";

/** The parts of the model whose weights may be held differently; `embed` is the embedding table and the head. */
export interface DtypeByPart {
  vision: HoldType;
  projector: HoldType;
  language: HoldType;
  embed: HoldType;
}

const HOLD_TYPES: readonly HoldType[] = ["auto", "f32", "f16", "bf16", "q8", "q4"];

/** The dtype of each part; throws OptionError for an unknown part or type. */
export function dtypeByPart(dtype: HoldType | Partial<DtypeByPart> = "auto"): DtypeByPart {
  const byPart = typeof dtype === "object" && dtype !== null ? dtype : undefined;
  // Anything that is neither a name nor an object is no name either, and refused below.
  const all = byPart ? "auto" : (dtype as HoldType);
  const parts = { vision: all, projector: all, language: all, embed: all };
  checkOptions("dtype", byPart ?? {}, Object.keys(parts));
  for (const [part, type] of Object.entries(byPart ?? {})) {
    if (type !== undefined) parts[part as keyof DtypeByPart] = type;
  }
  for (const [part, type] of Object.entries(parts)) {
    if (HOLD_TYPES.includes(type)) continue;
    throw new OptionError({
      where: `dtype of ${part}`,
      expected: HOLD_TYPES.join(", "),
      got: String(type),
      remedy: suggestion(String(type), HOLD_TYPES) ?? "leave it out to hold weights as stored",
    });
  }
  return parts;
}
