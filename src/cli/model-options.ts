import type { HoldType } from "../io/weights.js";
import type { DtypeByPart } from "../models/llava-onevision/dtype-by-part.js";
import type { LoadOptions } from "../models/llava-onevision/model.js";
import type { Arguments } from "./arguments.js";

/** `--dtype q4` or `--dtype vision=q8,language=q4`; the model checks the names. */
export function dtypeOption(given: Arguments): Pick<LoadOptions, "dtype"> {
  const text = given.value("dtype");
  if (text === undefined) return {};
  if (!text.includes("=")) return { dtype: text as HoldType };
  return { dtype: Object.fromEntries(text.split(",").map((part) => part.split("="))) as Partial<DtypeByPart> };
}

/** `--revision`, `--refresh` and `--offline`. */
export function hubOptions(given: Arguments): Pick<LoadOptions, "revision" | "refresh" | "offline"> {
  const revision = given.value("revision");
  return {
    ...(revision !== undefined && { revision }),
    ...(given.has("refresh") && { refresh: true }),
    ...(given.has("offline") && { offline: true }),
  };
}
