import { expect, test } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import { bytesSource } from "../../../src/io/bytes/source.js";
import { quantizedMatrices, quantizedMetadata, quantizedRowBytes } from "../../../src/io/checkpoint/quantized.js";
import { openSafetensors, type TensorData, writeSafetensors } from "../../../src/io/checkpoint/safetensors.js";

const KEY = "ocellus.quantized";
/** Two rows of 40 elements in q8: two groups, of 32 bytes and a scale each. */
const Q8: TensorData = { name: "a", dtype: "U8", shape: [2, 68], bytes: new Uint8Array(136) };

async function matricesOf(metadata: Record<string, string>) {
  const bytes = new Uint8Array(await new Blob(writeSafetensors([Q8], metadata) as BlobPart[]).arrayBuffer());
  return quantizedMatrices(await openSafetensors(bytesSource(bytes, "f")));
}

test("a row is whole words, with a scale for each group of 32", () => {
  expect([1, 32, 33, 64, 65].map((inner) => quantizedRowBytes("q8", inner))).toEqual([36, 36, 68, 68, 104]);
  expect([1, 32, 33, 64, 65].map((inner) => quantizedRowBytes("q4", inner))).toEqual([20, 20, 40, 40, 60]);
});

test("what is written in the metadata is read back", async () => {
  const matrices = new Map([["a", { type: "q8", shape: [2, 40] } as const]]);
  expect(await matricesOf(quantizedMetadata(matrices))).toEqual(matrices);
  expect(quantizedMetadata(new Map())).toEqual({});
  expect(await matricesOf({})).toEqual(new Map());
});

test.each<[string, unknown, RegExp]>([
  [
    "another version",
    { version: 2, tensors: {} },
    /expected version 1 with its tensors, got version 2 — update Ocellus/,
  ],
  ["no tensors", { version: 1 }, /version 1 with its tensors/],
  ["no object", [], /version 1 with its tensors/],
  [
    "another type",
    { version: 1, tensors: { a: { type: "q5", shape: [2, 40] } } },
    /tensor a: expected type q8 or q4, got "q5"/,
  ],
  [
    "a shape of three",
    { version: 1, tensors: { a: { type: "q8", shape: [2, 4, 10] } } },
    /expected shape \[rows, inner\]/,
  ],
  [
    "a size of nothing",
    { version: 1, tensors: { a: { type: "q8", shape: [2, 0] } } },
    /expected shape \[rows, inner\]/,
  ],
  [
    "more rows",
    { version: 1, tensors: { a: { type: "q8", shape: [3, 40] } } },
    /expected U8 \[3, 68\] in the file, got U8 \[2, 68\]/,
  ],
  ["another tensor", { version: 1, tensors: { b: { type: "q8", shape: [2, 40] } } }, /tensor b: .* got no such tensor/],
])("%s in the metadata is refused", async (_, json, message) => {
  const reading = matricesOf({ [KEY]: JSON.stringify(json) });
  await expect(reading).rejects.toThrow(CheckpointError);
  await expect(reading).rejects.toThrow(message);
});
