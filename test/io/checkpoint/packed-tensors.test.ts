import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import { PADDING, packedHead, packedMetadata } from "../../../src/io/checkpoint/packed-tensors.js";
import { type TensorData, writeSafetensors } from "../../../src/io/checkpoint/safetensors.js";
import { indexOf, indexOfFile } from "../../support/layers.js";

const HASH = "0123456789abcdef".repeat(4);
const PAIR = [
  { name: "gate", shape: [16, 40], interleave: 0 as const },
  { name: "up", shape: [16, 40], interleave: 1 as const },
];
const MATRIX = { name: "gate+up", type: "q4" as const, inner: 40, parts: PAIR };
const NORM = { name: "norm", type: "f32" as const, parts: [{ name: "norm", shape: [40] }] };
const LAYERS = [{ name: "layers.0", sha256: HASH, tensors: [MATRIX, NORM] }];

const dataOf = (head: ReturnType<typeof packedHead>): TensorData => {
  return { ...head, bytes: new Uint8Array(4 * head.shape.reduce((a, b) => a * b, 1)) };
};
const TENSORS = [MATRIX, NORM].map((one) => dataOf(packedHead(one)));

test("layers are ranges of the file, and their parts the tensors of the checkpoint", async () => {
  const padding: TensorData = { name: `${PADDING}0`, dtype: "U8", shape: [12], bytes: new Uint8Array(12) };
  const { packed, entries, shapes } = await indexOf([...TENSORS, padding], packedMetadata(LAYERS));
  expect([...entries.keys()]).toEqual(["gate", "up", "norm"]);
  expect(shapes.get("up")).toEqual([16, 40]);
  const [layer] = packed!.layers;
  // A panel of two groups of 640 bytes, and 40 numbers.
  expect([layer!.name, layer!.lengthBytes, layer!.sha256]).toEqual(["layers.0", 2 * 640 + 160, HASH]);
  expect(layer!.tensors.map(({ offsetBytes }) => offsetBytes - layer!.offsetBytes)).toEqual([0, 1280]);
});

test("a file without the metadata is not packed", async () => {
  expect((await indexOf(TENSORS)).packed).toBeUndefined();
});

describe("is refused with the command that packs it anew", () => {
  type Json = { version: number; layout: string; layers: { name: string; sha256: string; tensors: object[] }[] };
  const edited = (change: (json: Json) => object): Record<string, string> => {
    const [[key, text]] = Object.entries(packedMetadata(LAYERS)) as [[string, string]];
    return { [key]: JSON.stringify(change(JSON.parse(text))) };
  };
  const inMatrix = (change: object) => (json: Json) => {
    const [layer] = json.layers;
    return { ...json, layers: [{ ...layer, tensors: [{ ...layer!.tensors[0], ...change }, layer!.tensors[1]] }] };
  };

  test.each<[string, (json: Json) => object, RegExp]>([
    ["another version", (json) => ({ ...json, version: 2 }), /version 1 with layout panels-32x32, got version 2/],
    ["another layout", (json) => ({ ...json, layout: "panels-64x32" }), /panels-64x32/],
    ["no layers", ({ layers: _, ...json }) => json, /version 1/],
    ["a hash that is none", (json) => ({ ...json, layers: [{ ...json.layers[0], sha256: "0" }] }), /a SHA-256/],
    [
      "a layer without tensors",
      (json) => ({ ...json, layers: [{ ...json.layers[0], tensors: [] }] }),
      /list of tensors/,
    ],
    [
      "a tensor in no layer",
      (json) => ({ ...json, layers: [{ ...json.layers[0], tensors: [MATRIX] }] }),
      /norm in none/,
    ],
    ["an unknown type", inMatrix({ type: "q3" }), /type f32, f16/],
    ["another type", inMatrix({ type: "q8" }), /U32 \[1, 544\]/],
    ["another inner length", inMatrix({ inner: 41 }), /shape \[columns, 41\]/],
    ["an inner length that is no number", inMatrix({ inner: "40" }), /inner length/],
    ["q4 without an inner length", inMatrix({ inner: undefined }), /inner length/],
    ["more columns", inMatrix({ parts: PAIR.map((part) => ({ ...part, shape: [17, 40] })) }), /U32 \[2, 320\]/],
    ["one interleaved part", inMatrix({ parts: [{ ...PAIR[0], shape: [32, 40] }] }), /interleaved/],
    ["interleaved parts of two sizes", inMatrix({ parts: [PAIR[0], { ...PAIR[1], shape: [15, 40] }] }), /interleaved/],
    ["a name twice", inMatrix({ parts: PAIR.map((part) => ({ ...part, name: "gate" })) }), /in two/],
    ["a part's name of another tensor", inMatrix({ parts: [{ ...PAIR[0], name: "norm" }, PAIR[1]] }), /in two/],
    ["a tensor that is not there", inMatrix({ name: "gone" }), /no such tensor/],
  ])("%s", async (_what, change, said) => {
    const opening = indexOf(TENSORS, edited(change));
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow(said);
    await expect(opening).rejects.toThrow("ocellus convert FROM TO");
  });

  test("a file that ends early", async () => {
    const parts = writeSafetensors(TENSORS, packedMetadata(LAYERS));
    const whole = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
    await expect(indexOfFile(whole.slice(0, -4))).rejects.toThrow(/truncated/);
    await expect(indexOfFile(whole.map((byte, i) => (i < 64 ? 0 : byte)))).rejects.toThrow(CheckpointError);
  });
});
