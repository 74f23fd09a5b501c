/**
 * Quantised matrices in safetensors files. A matrix `[rows, inner]` is stored as a U8 tensor `[rows, bytes of a row]` under its own name;
 * its type and shape are in the file's metadata. A row is padded to whole words and consists of consecutive groups of 32 elements:
 *
 * - q4: 16 bytes of nibbles, low nibble first, then scale and minimum as f16; values are `n·scale + minimum` (as GGML's Q4_1).
 * - q8: 32 bytes with an offset of 128; the f16 scales of all groups are at the end of the row; values are `(n − 128)·scale` (as Q8_0).
 */

import { CheckpointError } from "../../base/errors.js";
import { isJsonObject, parseJson, showJson } from "../text/json.js";
import type { SafetensorsFile } from "./safetensors.js";

export type QuantizedType = "q8" | "q4";

/** Type and shape of a quantised matrix. */
export interface QuantizedMatrix {
  readonly type: QuantizedType;
  readonly shape: readonly [rows: number, inner: number];
}

const KEY = "ocellus.quantized";
const VERSION = 1;
/** Elements per scale. */
export const GROUP_ELEMENTS = 32;

/** Returns the bytes of a row of `inner` elements. */
export function quantizedRowBytes(type: QuantizedType, inner: number): number {
  const groups = Math.ceil(inner / GROUP_ELEMENTS);
  return type === "q4" ? groups * 20 : groups * GROUP_ELEMENTS + Math.ceil(groups / 2) * 4;
}

/** Returns the metadata of a file with these matrices. */
export function quantizedMetadata(matrices: ReadonlyMap<string, QuantizedMatrix>): Record<string, string> {
  if (matrices.size === 0) return {};
  return { [KEY]: JSON.stringify({ version: VERSION, tensors: Object.fromEntries(matrices) }) };
}

/** Returns the quantised matrices of a file by name. Throws CheckpointError if metadata and tensors disagree. */
export function quantizedMatrices(file: SafetensorsFile): ReadonlyMap<string, QuantizedMatrix> {
  const matrices = new Map<string, QuantizedMatrix>();
  const text = file.metadata.get(KEY);
  if (text === undefined) return matrices;
  const where = `${file.source.name}: metadata ${KEY}`;
  const json = parseJson(text, where);
  const tensors = isJsonObject(json) ? json.tensors : undefined;
  if (!isJsonObject(json) || json.version !== VERSION || !isJsonObject(tensors)) {
    const got = isJsonObject(json) ? `version ${showJson(json.version)}` : showJson(json);
    throw fault(where, `version ${VERSION} with its tensors`, got, "update Ocellus, or convert the checkpoint again");
  }
  for (const [name, value] of Object.entries(tensors)) {
    const at = `${where}, tensor ${name}`;
    const { type, shape } = isJsonObject(value) ? value : {};
    if (type !== "q8" && type !== "q4") throw fault(at, "type q8 or q4", showJson(type));
    const [rows, inner, ...more] = Array.isArray(shape) ? shape : [];
    if (!isSize(rows) || !isSize(inner) || more.length > 0) throw fault(at, "shape [rows, inner]", showJson(shape));
    const entry = file.entries.get(name);
    const wanted = `U8 [${rows}, ${quantizedRowBytes(type, inner)}]`;
    const got = entry ? `${entry.dtype} [${entry.shape.join(", ")}]` : "no such tensor";
    if (got !== wanted) throw fault(at, `${wanted} in the file`, got);
    matrices.set(name, { type, shape: [rows, inner] });
  }
  return matrices;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function fault(where: string, expected: string, got: string, remedy = "convert the checkpoint again"): CheckpointError {
  return new CheckpointError({ where, expected, got, remedy });
}
