import { ALIGNMENT_BYTES, PADDING, type PackedContent, packedHead, packedMetadata } from "./packed-tensors.js";
import { itemBytes, safetensorsHeader, type TensorHead } from "./safetensors.js";

/** The tensors of a layer, in their order in the file. */
export interface LayerContent {
  readonly name: string;
  readonly tensors: readonly PackedContent[];
}

/** A layer's range of its file. */
export interface LayerRange extends LayerContent {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Where the layers of a packed file are. Its size and offsets are known before a weight is read; the hashes in its header are not. */
export class PackedFileLayout {
  readonly layers: readonly LayerRange[];
  readonly sizeBytes: number;
  /** Names of all tensors in the file, those of the padding too. */
  readonly names: readonly string[];
  readonly #heads: readonly TensorHead[];

  /** `firstLayer`: number of layers in the files before this one. Names of the padding are unique in the checkpoint. */
  constructor(layers: readonly LayerContent[], firstLayer: number) {
    const heads: TensorHead[] = [];
    const ranges: { layer: LayerContent; at: number; lengthBytes: number }[] = [];
    let at = 0;
    for (const [i, layer] of layers.entries()) {
      const rest = (ALIGNMENT_BYTES - (at % ALIGNMENT_BYTES)) % ALIGNMENT_BYTES;
      if (rest > 0) heads.push({ name: `${PADDING}${firstLayer + i}`, dtype: "U8", shape: [rest] });
      at += rest;
      const own = layer.tensors.map(packedHead);
      const lengthBytes = own.reduce(
        (sum, { dtype, shape }) => sum + shape.reduce((a, b) => a * b, itemBytes(dtype)),
        0,
      );
      heads.push(...own);
      ranges.push({ layer, at, lengthBytes });
      at += lengthBytes;
    }
    this.#heads = heads;
    this.names = heads.map(({ name }) => name);
    const dataStart = this.#header(layers.map((layer) => ({ ...layer, sha256: "0".repeat(HASH_DIGITS) }))).length;
    this.sizeBytes = dataStart + at;
    this.layers = ranges.map(({ layer, at, lengthBytes }) => ({ ...layer, offsetBytes: dataStart + at, lengthBytes }));
  }

  /** Returns the bytes before the first layer. `hashes`: one for each layer. */
  header(hashes: readonly string[]): Uint8Array {
    return this.#header(this.layers.map(({ name, tensors }, i) => ({ name, tensors, sha256: hashes[i]! })));
  }

  /** The header, padded with spaces so that the first layer is aligned. */
  #header(layers: readonly (LayerContent & { sha256: string })[]): Uint8Array {
    const header = safetensorsHeader(this.#heads, { format: "pt", ...packedMetadata(layers) });
    const padded = new Uint8Array(Math.ceil(header.length / ALIGNMENT_BYTES) * ALIGNMENT_BYTES).fill(0x20);
    padded.set(header);
    new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - LENGTH_BYTES), true);
    return padded;
  }
}

/** Hexadecimal digits of a SHA-256. */
const HASH_DIGITS = 64;
/** Bytes of the length before a safetensors header. */
const LENGTH_BYTES = 8;
