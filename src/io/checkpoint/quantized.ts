/**
 * Quantised matrices in safetensors files. A matrix `[rows, inner]` is a U8 tensor `[rows, bytes of a row]` under its own name;
 * the file's metadata says its type and shape. A row is whole words, groups of 32 elements one behind the other:
 *
 * - q4: 16 bytes of nibbles, the first element lowest, then scale and least element in f16; `n·scale + least`.
 * - q8: 32 bytes, 128 standing for zero; the f16 scales of all groups stand at the end of the row; `(n − 128)·scale`.
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

/** Bytes of a row of `inner` elements. */
export function quantizedRowBytes(type: QuantizedType, inner: number): number {
  const groups = Math.ceil(inner / GROUP_ELEMENTS);
  return type === "q4" ? groups * 20 : groups * GROUP_ELEMENTS + Math.ceil(groups / 2) * 4;
}

/** Metadata of a file that holds these matrices. */
export function quantizedMetadata(matrices: ReadonlyMap<string, QuantizedMatrix>): Record<string, string> {
  if (matrices.size === 0) return {};
  return { [KEY]: JSON.stringify({ version: VERSION, tensors: Object.fromEntries(matrices) }) };
}

/** The quantised matrices of a file by name. Throws CheckpointError where metadata and tensors disagree. */
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
