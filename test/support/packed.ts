import type { CheckpointLocation } from "../../src/io/checkpoint/checkpoint.js";
import { PIECE_BYTES } from "../../src/io/checkpoint/indexed-tensor.js";
import { LayerHash } from "../../src/io/checkpoint/layer-hash.js";
import { type PackedContent, packedHead, packedMetadata } from "../../src/io/checkpoint/packed-tensors.js";
import { safetensorsHeader } from "../../src/io/checkpoint/safetensors.js";
import type { TensorIndex } from "../../src/io/checkpoint/tensor-index.js";
import { pack } from "../../src/kernels/pack.js";
import { PackedMatrix } from "../../src/kernels/packed.js";
import type { ConvertOptions } from "../../src/models/convert.js";
import { planPacked } from "../../src/models/packed-files.js";
import type { Device } from "../../src/runtime/device.js";
import { indexOfFile } from "./layers.js";

/** A tensor to pack: the values of its parts in f32, row-major. */
export interface PackedInput extends PackedContent {
  readonly values: readonly Float32Array[];
}

/** The index of a packed checkpoint with one matrix `[rows, inner]` in 4 bits; `damage` changes the bytes of its file. */
export async function packedMatrix(
  device: Device,
  name: string,
  shape: readonly [number, number],
  values: Float32Array,
  damage: (bytes: Uint8Array) => void = () => {},
): Promise<TensorIndex> {
  const part = { name, shape: [...shape] };
  const file = await packedFile(device, [{ name, type: "q4", inner: shape[1], parts: [part], values: [values] }]);
  damage(file);
  return indexOfFile(file);
}

/** The bytes of a packed tensor: of a matrix what the `pack` kernel writes. */
export async function packedBytes(
  device: Device,
  { name, type, inner, parts, values }: PackedInput,
): Promise<Uint8Array> {
  if (inner === undefined)
    return new Uint8Array(await new Blob(values.map((one) => new Float32Array(one))).arrayBuffer());
  const arena = device.arena("packed");
  try {
    const columns = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
    const matrix = arena.run(() => PackedMatrix.allocate(device, columns, inner, type, name));
    const { tensor } = matrix.blocks[0]!;
    device.write(tensor, new Uint8Array(tensor.sizeBytes));
    let first = 0;
    for (const [i, { shape, interleave }] of parts.entries()) {
      device.scope(() => {
        const words = new Uint32Array(values[i]!.buffer, values[i]!.byteOffset, values[i]!.length);
        pack(device.upload(words, [words.length], name), "f32", shape[0]!, matrix, first, interleave);
      });
      if (interleave === undefined) first += shape[0]!;
    }
    return new Uint8Array(await device.read(tensor));
  } finally {
    arena.dispose();
  }
}

/** A packed checkpoint of one layer, as one file. `change` edits its metadata. */
export async function packedFile(
  device: Device,
  tensors: readonly PackedInput[],
  change: (metadata: string) => string = (metadata) => metadata,
): Promise<Uint8Array> {
  const parts = await Promise.all(tensors.map((tensor) => packedBytes(device, tensor)));
  const bytes = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  const hash = new LayerHash();
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) await hash.add(bytes.subarray(at, at + PIECE_BYTES));
  const metadata = packedMetadata([{ name: "layers.0", sha256: await hash.hex(), tensors }]);
  const changed = Object.fromEntries(Object.entries(metadata).map(([key, text]) => [key, change(text)]));
  const header = safetensorsHeader(tensors.map(packedHead), changed);
  return new Uint8Array(await new Blob([header, bytes] as BlobPart[]).arrayBuffer());
}

/** The files of a packed copy of a checkpoint. */
export async function packedFiles(from: CheckpointLocation, options: ConvertOptions): Promise<File[]> {
  const plan = await planPacked(from, options);
  const made: File[] = [];
  const fileOf = (name: string, parts: readonly Uint8Array[]): File =>
    new File(
      parts.map((part) => new Uint8Array(part)),
      name,
    );
  try {
    for (const file of plan.files) {
      const bytes = new Uint8Array(file.sizeBytes);
      const hashes: string[] = [];
      for (const { offsetBytes, lengthBytes, chunks } of file.layers) {
        const hash = new LayerHash();
        let at = offsetBytes;
        for await (const chunk of chunks()) {
          bytes.set(chunk, at);
          await hash.add(chunk);
          at += chunk.length;
        }
        if (at !== offsetBytes + lengthBytes) throw new Error(`${at - offsetBytes} bytes instead of ${lengthBytes}`);
        hashes.push(await hash.hex());
      }
      bytes.set(file.header(hashes));
      made.push(fileOf(file.name, [bytes]));
    }
    for await (const { name, chunks } of plan.texts()) {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) parts.push(chunk);
      made.push(fileOf(name, parts));
    }
    return made;
  } finally {
    await plan.close();
  }
}
