import { expect, test } from "vitest";
import { PIECE_BYTES } from "../../../src/io/checkpoint/indexed-tensor.js";
import { LayerHash } from "../../../src/io/checkpoint/layer-hash.js";

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const sha256 = async (bytes: BufferSource) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

test("is the SHA-256 of the hashes of the pieces", async () => {
  const bytes = Uint8Array.from({ length: PIECE_BYTES + 5 }, (_, i) => i * 31);
  const memory = new Uint8Array(PIECE_BYTES);
  const hash = new LayerHash();
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    const piece = bytes.subarray(at, at + PIECE_BYTES);
    memory.set(piece);
    await hash.add(memory.subarray(0, piece.length));
    memory.fill(0); // the caller's memory is used again
  }
  const both = await Promise.all([sha256(bytes.slice(0, PIECE_BYTES)), sha256(bytes.slice(PIECE_BYTES))]);
  expect(await hash.hex()).toBe(hex(await sha256(Uint8Array.from(both.flatMap((one) => [...one])))));
});

test("is the same for bytes in any lengths", async () => {
  const bytes = Uint8Array.from({ length: 2 * PIECE_BYTES + 77 }, (_, i) => i * 13);
  const of = async (...ends: number[]) => {
    const hash = new LayerHash();
    for (const [i, end] of ends.entries()) await hash.add(bytes.slice(ends[i - 1] ?? 0, end));
    return hash.hex();
  };
  const truth = await of(PIECE_BYTES, 2 * PIECE_BYTES, bytes.length);
  expect(await of(bytes.length)).toBe(truth);
  expect(await of(5, PIECE_BYTES + 5, bytes.length)).toBe(truth);
  expect(await of(3, PIECE_BYTES, PIECE_BYTES + 1, bytes.length)).toBe(truth);
  expect(await of(bytes.length - 1)).not.toBe(truth);
});

test("of no bytes is that of no hashes", async () => {
  expect(await new LayerHash().hex()).toBe(hex(await sha256(new Uint8Array())));
});
