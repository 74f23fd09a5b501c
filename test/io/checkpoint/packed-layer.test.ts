import { expect, test } from "vitest";
import { CheckpointError, SourceError } from "../../../src/base/errors.js";
import { bytesSource } from "../../../src/io/bytes/source.js";
import { PIECE_BYTES } from "../../../src/io/checkpoint/indexed-tensor.js";
import { LayerHash } from "../../../src/io/checkpoint/layer-hash.js";
import { readLayer, verifyLayers } from "../../../src/io/checkpoint/packed-layer.js";
import type { PackedLayer } from "../../../src/io/checkpoint/packed-tensors.js";

const START = 4096;

/** A layer of `length` bytes within a file; `change` edits the file after the hash was computed. */
async function layerOf(length: number, change: (file: Uint8Array) => void = () => {}): Promise<PackedLayer> {
  const file = Uint8Array.from({ length: START + length + 8 }, (_, i) => i * 7);
  const hash = new LayerHash();
  await hash.add(file.subarray(START, START + length));
  const sha256 = await hash.hex();
  change(file);
  const source = bytesSource(file, "model.safetensors");
  return { name: "layers.3", source, offsetBytes: START, lengthBytes: length, sha256, tensors: [] };
}

test("comes in pieces", async () => {
  const pieces: [number, number, number][] = [];
  for await (const { at, bytes } of readLayer(await layerOf(PIECE_BYTES + 12)))
    pieces.push([at, bytes.length, bytes[0]!]);
  expect(pieces).toEqual([
    [0, PIECE_BYTES, (START * 7) % 256],
    [PIECE_BYTES, 12, ((START + PIECE_BYTES) * 7) % 256],
  ]);
});

test("the next piece is read while one is used, into the other memory, and not after the end", async () => {
  const layer = await layerOf(3 * PIECE_BYTES);
  const memory: readonly [Uint8Array, Uint8Array] = [new Uint8Array(PIECE_BYTES), new Uint8Array(PIECE_BYTES)];
  const { source } = layer;
  let [begun, ended] = [0, 0];
  const read: typeof source.read = async (offset, length, signal, into) => {
    begun++;
    await new Promise((resolve) => setTimeout(resolve, 5));
    into!.set(await source.read(offset, length, signal));
    ended++;
    return into!;
  };
  const slow = { ...layer, source: { ...source, read } };
  const seen: [number, number][] = [];
  for await (const { at, bytes } of readLayer(slow, undefined, memory)) {
    seen.push([begun, memory.indexOf(bytes)]);
    expect(bytes[1]).toBe(((START + at + 1) * 7) % 256);
  }
  expect(seen).toEqual([
    [2, 0],
    [3, 1],
    [3, 0],
  ]);
  for await (const _ of readLayer(slow, undefined, memory)) break;
  expect(ended).toBe(begun);
});

test("progress is the bytes of all layers", async () => {
  const told: number[] = [];
  await verifyLayers([await layerOf(8), await layerOf(16)], undefined, (bytes) => told.push(bytes));
  expect(told).toEqual([8, 24]);
});

test("a byte within it that differs is an error, one beside it is not", async () => {
  await verifyLayers([await layerOf(100, (file) => file.fill(0, 0, START).fill(0, START + 100))]);
  const damaged = await layerOf(100, (file) => {
    file[START + 99]! ^= 16;
  });
  await expect(verifyLayers([damaged])).rejects.toThrow(CheckpointError);
  await expect(verifyLayers([damaged])).rejects.toThrow(/model\.safetensors: layer layers\.3: .*download or copy/s);
});

test("a file that ends within it is an error of the source", async () => {
  const { lengthBytes, ...layer } = await layerOf(100);
  await expect(verifyLayers([{ ...layer, lengthBytes: lengthBytes + 9 }])).rejects.toThrow(SourceError);
});
