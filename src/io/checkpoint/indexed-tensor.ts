import type { ByteSource } from "../bytes/source.js";
import type { QuantizedMatrix } from "./quantized.js";
import type { TensorEntry } from "./safetensors.js";

/** A tensor and the open file that contains it. */
export interface IndexedTensor {
  readonly entry: TensorEntry;
  readonly source: ByteSource;
  /** Type and shape of a matrix whose bytes are quantised. */
  readonly quantized?: QuantizedMatrix | undefined;
  /** The stored tensor that it is computed from when it is read: its dtype is the default of storage. */
  readonly base?: IndexedTensor | undefined;
}

/** Bytes of weights that are read, uploaded and hashed at a time; it bounds the host memory of loading. */
export const PIECE_BYTES = 2 ** 21;

/** The metadata that makes a file a packed one. What reads such files is loaded with the first. */
export const PACKED_KEY = "ocellus.packed";
