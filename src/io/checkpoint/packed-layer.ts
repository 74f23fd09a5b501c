import { PIECE_BYTES } from "./indexed-tensor.js";
import { LayerHash } from "./layer-hash.js";
import { fault, type PackedLayer } from "./packed-tensors.js";

/** Some bytes of a layer of a packed checkpoint. */
export interface LayerPiece {
  /** Offset within the layer. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * Reads a layer in pieces of 2 MiB and checks its hash after the last, unless `verify` is false: for a layer that was checked before. While a
 * piece is used, the next one is read; `into`, which is written to by turns, may be used for them.
 * @throws CheckpointError for another hash, naming file and layer; SourceError; AbortedError.
 */
export async function* readLayer(
  layer: PackedLayer,
  signal?: AbortSignal,
  into?: readonly [Uint8Array, Uint8Array],
  verify = true,
): AsyncGenerator<LayerPiece> {
  const hash = verify ? new LayerHash() : undefined;
  const read = (at: number): Promise<Uint8Array> => {
    const length = Math.min(PIECE_BYTES, layer.lengthBytes - at);
    const piece = layer.source.read(layer.offsetBytes + at, length, signal, into?.[(at / PIECE_BYTES) % 2]);
    piece.catch(() => {}); // thrown where it is awaited
    return piece;
  };
  let next = read(0);
  try {
    for (let at = 0; at < layer.lengthBytes; at += PIECE_BYTES) {
      const bytes = await next;
      if (at + PIECE_BYTES < layer.lengthBytes) next = read(at + PIECE_BYTES);
      await hash?.add(bytes);
      yield { at, bytes };
    }
  } finally {
    // Nothing is written to `into` after the end.
    await next.catch(() => {});
  }
  const got = await hash?.hex();
  if (got === undefined || got === layer.sha256) return;
  throw fault(
    `${layer.source.name}: layer ${layer.name}`,
    `bytes of hash ${layer.sha256.slice(0, HASH_DIGITS)}`,
    `${got.slice(0, HASH_DIGITS)}: the file is damaged`,
    "download or copy the file again, or convert the original checkpoint again",
  );
}

/** Digits of a hash that messages quote. */
const HASH_DIGITS = 12;

/** Checks the hashes of layers. `onProgress` receives the bytes so far. Throws as {@link readLayer} does. */
export async function verifyLayers(
  layers: Iterable<PackedLayer>,
  signal?: AbortSignal,
  onProgress?: (bytes: number) => void,
): Promise<void> {
  const memory = [new Uint8Array(PIECE_BYTES), new Uint8Array(PIECE_BYTES)] as const;
  let read = 0;
  for (const layer of layers) {
    for await (const { bytes } of readLayer(layer, signal, memory)) {
      read += bytes.length;
      onProgress?.(read);
    }
  }
}
