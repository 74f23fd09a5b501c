/**
 * Packed checkpoints: safetensors files whose tensors are what a model has on its device, byte for byte, layer after layer. A matrix is a
 * U32 tensor `[panels, words of a panel]` in the order of `kernels/packed.ts`, several stored matrices in one where a layer multiplies by
 * them at once; everything else is F32. A layer is one range of the file that begins at a multiple of {@link ALIGNMENT_BYTES}; U8 tensors
 * fill the gaps. The file's metadata has version and layout, the hash of each layer, and for each tensor its storage dtype and the names
 * and shapes of the tensors that it was made of.
 */

import { CheckpointError } from "../../base/errors.js";
import type { ByteSource } from "../bytes/source.js";
import { isJsonObject, type JsonObject, type JsonValue, parseJson, showJson } from "../text/json.js";
import { PACKED_KEY } from "./indexed-tensor.js";
import { GROUP_ELEMENTS } from "./quantized.js";
import type { SafetensorsFile, TensorHead } from "./safetensors.js";

const VERSION = 1;
/** Columns of a panel. */
export const PANEL_COLUMNS = 32;
/** The order of a matrix's elements, the same on every adapter. Another order needs another name. */
const LAYOUT = `panels-${PANEL_COLUMNS}x${GROUP_ELEMENTS}`;
/** Multiple at which layers begin in their file: a page of memory, and a block of direct reads. */
export const ALIGNMENT_BYTES = 4096;
/** Names of the tensors between layers begin with it. */
export const PADDING = "ocellus.padding.";

const AGAIN = "convert the original checkpoint again: `ocellus convert FROM TO --dtype TYPE --packed`";

export type PackedType = "f32" | "f16" | "bf16" | "q8" | "q4";

/** Bytes of one group (32 elements) of the 32 columns of a panel. */
export const GROUP_BYTES: Readonly<Record<PackedType, number>> = {
  f32: 4096,
  f16: 2048,
  bf16: 2048,
  q8: 1088,
  q4: 640,
};

/** A tensor of the checkpoint that was packed. */
export interface PackedPart {
  readonly name: string;
  readonly shape: readonly number[];
  /** 0 or 1: it is interleaved with the other part in blocks of 8 columns. */
  readonly interleave?: 0 | 1 | undefined;
}

/** What is packed in one tensor. */
export interface PackedContent {
  readonly name: string;
  readonly type: PackedType;
  /** Length of a matrix's rows; undefined for f32 values in the order of the parts. */
  readonly inner?: number | undefined;
  readonly parts: readonly PackedPart[];
}

/** A tensor of a packed checkpoint; its bytes are copied to the device as they are. */
export interface PackedTensor extends PackedContent {
  /** Offset in the file. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** One range of a file with the weights of one layer. */
export interface PackedLayer {
  readonly name: string;
  readonly source: ByteSource;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** See {@link LayerHash}. */
  readonly sha256: string;
  readonly tensors: readonly PackedTensor[];
}

/** Returns dtype and shape of a packed tensor in its file. */
export function packedHead({ name, type, inner, parts }: PackedContent): TensorHead {
  if (inner === undefined) {
    return { name, dtype: "F32", shape: [parts.reduce((sum, { shape }) => sum + elements(shape), 0)] };
  }
  const columns = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
  const words = (Math.ceil(inner / GROUP_ELEMENTS) * GROUP_BYTES[type]) / 4;
  return { name, dtype: "U32", shape: [Math.ceil(columns / PANEL_COLUMNS), words] };
}

/** Returns the metadata of a file with these layers. */
export function packedMetadata(
  layers: readonly { readonly name: string; readonly sha256: string; readonly tensors: readonly PackedContent[] }[],
): Record<string, string> {
  const all = layers.map(({ name, sha256, tensors }) => ({
    name,
    sha256,
    tensors: tensors.map(({ name, type, inner, parts }) => ({ name, type, inner, parts })),
  }));
  const dtype = [...new Set(layers.flatMap(({ tensors }) => tensors.flatMap((one) => (one.inner ? one.type : []))))];
  return { [PACKED_KEY]: JSON.stringify({ version: VERSION, layout: LAYOUT, dtype: dtype.join(","), layers: all }) };
}

/**
 * Returns the layers of a packed file. Throws CheckpointError for another version or layout, and if metadata and tensors disagree.
 */
export function packedLayers(file: SafetensorsFile): readonly PackedLayer[] {
  const text = file.metadata.get(PACKED_KEY) ?? "";
  const where = `${file.source.name}: metadata ${PACKED_KEY}`;
  const json = parseJson(text, where);
  const { version, layout, layers } = isJsonObject(json) ? json : ({} as JsonObject);
  if (version !== VERSION || layout !== LAYOUT || !Array.isArray(layers)) {
    const expected = `version ${VERSION} with layout ${LAYOUT}`;
    throw fault(where, expected, `version ${showJson(version)} with layout ${showJson(layout)}`);
  }
  const rest = new Set(file.entries.keys());
  const found = layers.map((layer, i) => readLayer(layer, `${where}, layer ${i}`, file, rest));
  for (const name of rest) {
    if (!name.startsWith(PADDING)) throw fault(where, "every tensor in a layer", `${name} in none`);
  }
  return found;
}

function readLayer(value: JsonValue, at: string, file: SafetensorsFile, rest: Set<string>): PackedLayer {
  const { name, sha256, tensors } = isJsonObject(value) ? value : ({} as JsonObject);
  if (typeof name !== "string" || typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw fault(at, "a name and a SHA-256", `${showJson(name)} and ${showJson(sha256)}`);
  }
  const where = `${at} (${name})`;
  if (!Array.isArray(tensors) || tensors.length === 0) throw fault(where, "a list of tensors", showJson(tensors));
  const found = tensors.map((tensor, i) => readTensor(tensor, `${where}, tensor ${i}`, file, rest));
  const offsetBytes = found[0]!.offsetBytes;
  let end = offsetBytes;
  for (const tensor of found) {
    if (tensor.offsetBytes !== end) throw fault(where, `${tensor.name} at ${end}`, `it at ${tensor.offsetBytes}`);
    end += tensor.lengthBytes;
  }
  return { name, source: file.source, offsetBytes, lengthBytes: end - offsetBytes, sha256, tensors: found };
}

function readTensor(value: JsonValue, at: string, file: SafetensorsFile, rest: Set<string>): PackedTensor {
  const { name, type, inner, parts } = isJsonObject(value) ? value : ({} as JsonObject);
  if (typeof name !== "string") throw fault(at, "a name", showJson(name));
  const where = `${at} (${name})`;
  if (!isType(type)) throw fault(where, `type ${Object.keys(GROUP_BYTES).join(", ")}`, showJson(type));
  if (!(isSize(inner) || (inner === undefined && type === "f32"))) {
    throw fault(where, "an inner length, or values in f32", `${showJson(inner)} and ${type}`);
  }
  if (!Array.isArray(parts) || parts.length === 0) throw fault(where, "a list of parts", showJson(parts));
  const content = {
    name,
    type,
    inner,
    parts: parts.map((part, i) => readPart(part, `${where}, part ${i}`, inner, type)),
  };
  const woven = content.parts.filter(({ interleave }) => interleave !== undefined);
  const [first, second] = content.parts;
  const isPair = content.parts.length === 2 && first!.interleave === 0 && second!.interleave === 1;
  if (woven.length > 0 && !(isPair && first!.shape[0] === second!.shape[0])) {
    throw fault(where, "no interleaved parts, or two of one size", showJson(parts));
  }
  const entry = file.entries.get(name);
  const head = packedHead(content);
  const wanted = `${head.dtype} [${head.shape.join(", ")}]`;
  const got = entry && rest.delete(name) ? `${entry.dtype} [${entry.shape.join(", ")}]` : "no such tensor, or it twice";
  if (!entry || got !== wanted) throw fault(where, `${wanted} in the file`, got);
  return { ...content, offsetBytes: entry.offsetBytes, lengthBytes: entry.lengthBytes };
}

function readPart(value: JsonValue, where: string, inner: number | undefined, type: PackedType): PackedPart {
  const { name, shape, interleave } = isJsonObject(value) ? value : ({} as JsonObject);
  if (typeof name !== "string") throw fault(where, "a name", showJson(name));
  const isShape = Array.isArray(shape) && shape.length > 0 && shape.every(isSize);
  if (!isShape || (inner !== undefined && elements(shape) !== shape[0]! * inner)) {
    throw fault(where, inner === undefined ? "a shape" : `a shape [columns, ${inner}]`, showJson(shape));
  }
  if ((type === "q8" || type === "q4") && shape.length !== 2) throw fault(where, "a shape of two", showJson(shape));
  if (interleave === undefined) return { name, shape };
  if (interleave !== 0 && interleave !== 1) throw fault(where, "interleave 0 or 1", showJson(interleave));
  return { name, shape, interleave };
}

/** The error for a packed checkpoint that cannot be used as it is. */
export function fault(where: string, expected: string, got: string, remedy = AGAIN): CheckpointError {
  return new CheckpointError({ where, expected, got, remedy });
}

function isType(value: JsonValue | undefined): value is PackedType {
  return typeof value === "string" && Object.hasOwn(GROUP_BYTES, value);
}

function isSize(value: JsonValue | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function elements(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
