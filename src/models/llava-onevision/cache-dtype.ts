import { OptionError } from "../../base/errors.js";
import { suggestion } from "../../base/options.js";
import type { CacheType } from "../../kernels/kv-format.js";

export const CACHE_TYPES: readonly CacheType[] = ["f32", "f16", "q8"];

/** Resolves the option `cacheDtype`. Throws OptionError for an unknown type. */
export function cacheTypeGiven(given: CacheType | "auto" = "auto"): CacheType {
  if (given === "auto") return "f32";
  if (CACHE_TYPES.includes(given)) return given;
  throw new OptionError({
    where: "cacheDtype",
    expected: ["auto", ...CACHE_TYPES].join(", "),
    got: String(given),
    remedy: suggestion(String(given), CACHE_TYPES) ?? "leave it out for f32",
  });
}
