import type { NamedBlob } from "../../src/io/checkpoint/checkpoint.js";
import { type TensorData, writeSafetensors } from "../../src/io/checkpoint/safetensors.js";

/** A safetensors file of four bytes under each name. */
export function weights(...names: string[]): Blob {
  const tensors = names.map((name, i): TensorData => {
    return { name, dtype: "U8", shape: [4], bytes: Uint8Array.of(i, i + 1, i + 2, i + 3) };
  });
  return new Blob(writeSafetensors(tensors) as Uint8Array<ArrayBuffer>[]);
}

/** The files as a page's file input gives them. */
export function files(contents: Record<string, BlobPart>): NamedBlob[] {
  return Object.entries(contents).map(([name, content]) => new File([content], name));
}
