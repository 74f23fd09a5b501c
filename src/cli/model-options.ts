import { OptionError } from "../base/errors.js";
import type { StorageDtype } from "../layers/weights.js";
import type { DtypeByPart } from "../models/llava-onevision/dtype-by-part.js";
import type { LoadOptions } from "../models/llava-onevision.js";
import type { Arguments } from "./arguments.js";

/** Reads `--dtype q4` or `--dtype vision=q8,language=q4`; the model checks the names. Throws OptionError. */
export function dtypeOption(given: Arguments): Pick<LoadOptions, "dtype"> {
  const text = given.value("dtype");
  if (text === undefined) return {};
  if (!text.includes("=")) return { dtype: text as StorageDtype };
  const parts = new Map<string, string>();
  for (const pair of text.split(",")) {
    const [part = "", type = "", ...more] = pair.split("=").map((word) => word.trim());
    if (part === "" || type === "" || more.length > 0 || parts.has(part)) {
      throw new OptionError({
        where: "--dtype",
        expected: "PART=TYPE, each part once",
        got: parts.has(part) ? `${part} twice` : pair || "nothing after a comma",
        remedy: "for example --dtype vision=f16,language=q4",
      });
    }
    parts.set(part, type);
  }
  return { dtype: Object.fromEntries(parts) as Partial<DtypeByPart> };
}

/** Reads `--revision`, `--refresh` and `--offline`. */
export function hubOptions(given: Arguments): Pick<LoadOptions, "revision" | "refresh" | "offline"> {
  const revision = given.value("revision");
  return {
    ...(revision !== undefined && { revision }),
    ...(given.has("refresh") && { refresh: true }),
    ...(given.has("offline") && { offline: true }),
  };
}
