/**
 * The safetensors format: 8 bytes of header length (little-endian), a JSON header, then the tensors' bytes without holes.
 * Source: https://github.com/huggingface/safetensors#format.
 */

import { CheckpointError } from "../../base/errors.js";
import type { ByteSource } from "../bytes/source.js";
import { isJsonObject, type JsonObject, type JsonValue, parseJson, showJson } from "../text/json.js";
import { type FileKind, HEAD_BYTES, kindOf, SAFETENSORS } from "./file-kind.js";

const ITEM_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
  C64: 8,
} as const;

/** Element types, in the header's spelling. The 4- and 6-bit types are not supported: no checkpoint of the family uses them. */
export type SafetensorsDType = keyof typeof ITEM_BYTES;

/** Type, shape and byte range of a tensor; elements are little-endian and row-major. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Offset in the file. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** A validated header and its open source, which the caller closes. */
export interface SafetensorsFile {
  readonly source: ByteSource;
  /** In the order of the header. */
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** One tensor to write. */
export interface TensorData {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Little-endian, row-major, `product(shape)` elements. */
  readonly bytes: Uint8Array;
}

/** Limit of the reference implementation; also prevents other files from being read as a header. */
const HEADER_LIMIT_BYTES = 100_000_000;
/** Maximum keys of a header, four for each tensor and those of the metadata: a hundred thousand tensors, where models have some thousand. */
const MOST_KEYS = 400_000;
/** Maximum sizes of a shape; tensors of models have up to five. */
const MOST_SIZES = 32;
const PREFIX_BYTES = 8;
const METADATA = "__metadata__";
const REDOWNLOAD = "download the file again";

/** Bytes of one element. */
export function itemBytes(dtype: SafetensorsDType): number {
  return ITEM_BYTES[dtype];
}

/**
 * Reads and validates the header; no tensor data are read.
 * @throws CheckpointError for violations of the format, naming file and tensor; SourceError; AbortedError.
 */
export async function openSafetensors(source: ByteSource, signal?: AbortSignal): Promise<SafetensorsFile> {
  try {
    return await readSafetensors(source, signal);
  } catch (cause) {
    // For a file that is not safetensors, identify its format instead of reporting header errors.
    const kind = cause instanceof CheckpointError ? await otherKind(source, signal) : undefined;
    if (!kind) throw cause;
    throw broken(source.name, "a safetensors file", kind.is, kind.remedy, cause);
  }
}

/** Identifies a file without a valid header; undefined if unknown or unreadable. */
async function otherKind(source: ByteSource, signal: AbortSignal | undefined): Promise<FileKind | undefined> {
  if (source.sizeBytes === 0) return undefined;
  const head = await source.read(0, Math.min(HEAD_BYTES, source.sizeBytes), signal).catch(() => undefined);
  const kind = head && kindOf(head);
  return kind === SAFETENSORS ? undefined : kind;
}

async function readSafetensors(source: ByteSource, signal: AbortSignal | undefined): Promise<SafetensorsFile> {
  const file = source.name;
  if (source.sizeBytes < PREFIX_BYTES) {
    throw broken(file, "a safetensors file of at least 8 bytes", `${source.sizeBytes} bytes`);
  }
  const prefix = await source.read(0, PREFIX_BYTES, signal);
  const declared = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  const available = source.sizeBytes - PREFIX_BYTES;
  if (declared > BigInt(Math.min(available, HEADER_LIMIT_BYTES))) {
    const limit = available < HEADER_LIMIT_BYTES ? `the ${available} bytes after the prefix` : "100 MB";
    throw broken(
      `${file}: header`,
      `a length within ${limit}`,
      `${declared} bytes`,
      "check that it is a whole safetensors file",
    );
  }
  const headerBytes = Number(declared);
  const header = readHeader(await source.read(PREFIX_BYTES, headerBytes, signal), file);
  const dataStart = PREFIX_BYTES + headerBytes;
  const metadata = readMetadata(header[METADATA], file);
  const entries = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(header)) {
    if (name !== METADATA) entries.set(name, readEntry(name, value, dataStart, file));
  }
  checkLayout([...entries.values()], dataStart, source.sizeBytes, file);
  return { source, entries, metadata };
}

/** Header entry of a tensor. */
export type TensorHead = Pick<TensorData, "name" | "dtype" | "shape">;

/** Sorts tensors by element size, largest first, so that every tensor is aligned; stable otherwise. */
export function inFileOrder<T extends TensorHead>(tensors: Iterable<T>): T[] {
  return [...tensors].sort((a, b) => itemBytes(b.dtype) - itemBytes(a.dtype));
}

/**
 * Writes the start of a safetensors file: length and header, padded with spaces to a multiple of 8 bytes. Tensor data must follow in the
 * given order. Throws CheckpointError for duplicate names.
 */
export function safetensorsHeader(
  tensors: Iterable<TensorHead>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header = new Map<string, JsonValue>();
  if (Object.keys(metadata).length > 0) header.set(METADATA, { ...metadata });
  let at = 0;
  for (const { name, dtype, shape } of tensors) {
    if (header.has(name) || name === METADATA) {
      throw broken(`tensor ${name}`, "every name once", "it twice or a reserved one", "rename one tensor");
    }
    const bytes = byteLength(shape, dtype);
    header.set(name, { dtype, shape: [...shape], data_offsets: [at, at + bytes] });
    at += bytes;
  }
  // fromEntries and not assignment: a tensor may be called __proto__.
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const start = new Uint8Array(PREFIX_BYTES + headerBytes).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(headerBytes), true);
  start.set(text, PREFIX_BYTES);
  return start;
}

/**
 * Returns the consecutive chunks of a safetensors file.
 * @throws CheckpointError for duplicate names, and for bytes that do not match dtype and shape.
 */
export function writeSafetensors(
  tensors: Iterable<TensorData>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array[] {
  const ordered = inFileOrder(tensors);
  for (const { name, dtype, shape, bytes } of ordered) {
    const wanted = byteLength(shape, dtype);
    if (wanted === bytes.length) continue;
    const got = `${bytes.length} bytes`;
    throw broken(`tensor ${name}`, `${wanted} bytes for ${dtype} ${showJson([...shape])}`, got, "correct the shape");
  }
  return [safetensorsHeader(ordered, metadata), ...ordered.map((tensor) => tensor.bytes)];
}

function readHeader(bytes: Uint8Array, file: string): JsonObject {
  const where = `${file}: header`;
  if (bytes[0] !== 0x7b) throw broken(where, 'JSON that starts with "{"', firstByte(bytes));
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw broken(where, "UTF-8", "other bytes", REDOWNLOAD, cause);
  }
  const header = parseJson(text, where, { uniqueKeys: true, mostKeys: MOST_KEYS });
  if (!isJsonObject(header)) throw broken(where, "an object", showJson(header));
  return header;
}

function firstByte(bytes: Uint8Array): string {
  return bytes[0] === undefined ? "nothing" : `first byte 0x${bytes[0].toString(16).padStart(2, "0")}`;
}

function readMetadata(value: JsonValue | undefined, file: string): ReadonlyMap<string, string> {
  const where = `${file}: ${METADATA}`;
  const metadata = new Map<string, string>();
  if (value === undefined) return metadata;
  if (!isJsonObject(value)) throw broken(where, "an object of texts", showJson(value));
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== "string") throw broken(`${where}.${name}`, "a text", showJson(text));
    metadata.set(name, text);
  }
  return metadata;
}

function readEntry(name: string, value: JsonValue, dataStart: number, file: string): TensorEntry {
  const where = `${file}: tensor ${name}`;
  if (!isJsonObject(value)) throw broken(where, "an object", showJson(value));
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDType(dtype)) {
    const remedy = "convert the checkpoint to F16, BF16 or F32";
    throw broken(`${where}: dtype`, Object.keys(ITEM_BYTES).join(", "), showJson(dtype), remedy);
  }
  if (!isSizes(shape)) throw broken(`${where}: shape`, `at most ${MOST_SIZES} whole numbers from 0`, showJson(shape));
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw broken(`${where}: data_offsets`, "two whole numbers from 0", showJson(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const wanted = byteLength(shape, dtype);
  if (!Number.isSafeInteger(wanted)) {
    throw broken(`${where}: shape`, "a tensor of less than 2^53 bytes", showJson(shape));
  }
  if (end - begin !== wanted) {
    const got = end < begin ? `an end (${end}) before the beginning (${begin})` : `${end - begin} bytes`;
    throw broken(`${where}: data_offsets`, `${wanted} bytes for ${dtype} ${showJson(shape)}`, got);
  }
  return { name, dtype, shape, offsetBytes: dataStart + begin, lengthBytes: wanted };
}

/** Checks that the tensors cover the data exactly, as the format requires: no holes, no overlaps, no trailing bytes. */
function checkLayout(entries: TensorEntry[], dataStart: number, sizeBytes: number, file: string): void {
  entries.sort((a, b) => a.offsetBytes - b.offsetBytes || a.lengthBytes - b.lengthBytes);
  let at = dataStart;
  for (const { name, offsetBytes, lengthBytes } of entries) {
    const where = `${file}: tensor ${name}`;
    const end = offsetBytes + lengthBytes;
    if (end > sizeBytes) {
      throw broken(where, `a file of at least ${end} bytes`, `${sizeBytes} bytes (truncated)`);
    }
    if (offsetBytes !== at) {
      const fault =
        offsetBytes > at ? `a hole of ${offsetBytes - at} bytes` : `an overlap of ${at - offsetBytes} bytes`;
      throw broken(where, `its bytes to start at ${at}`, `${offsetBytes}: ${fault}`, "write the file anew");
    }
    at = end;
  }
  if (at !== sizeBytes) throw broken(file, `${at} bytes`, `${sizeBytes}: ${sizeBytes - at} bytes belong to no tensor`);
}

function isDType(value: JsonValue | undefined): value is SafetensorsDType {
  return typeof value === "string" && Object.hasOwn(ITEM_BYTES, value);
}

function isSizes(value: JsonValue | undefined): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= MOST_SIZES &&
    value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0)
  );
}

function byteLength(shape: readonly number[], dtype: SafetensorsDType): number {
  return shape.reduce((product, size) => product * size, itemBytes(dtype));
}

function broken(where: string, expected: string, got: string, remedy = REDOWNLOAD, cause?: unknown): CheckpointError {
  return new CheckpointError({ where, expected, got, remedy, cause });
}
