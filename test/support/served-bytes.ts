import { expect } from "vitest";
import type { ByteSource } from "../../src/io/bytes/source.js";

/** A file of 200,000 bytes and its address. */
export const BYTES = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7 + (i >> 8)) & 255);
export const URL = "https://host.test/model.safetensors";

export async function expectSlice(source: ByteSource, offset: number, length: number): Promise<void> {
  const read = await source.read(offset, length);
  expect(read).toEqual(BYTES.slice(offset, offset + length));
  expect(read.byteOffset % 8).toBe(0);
}
