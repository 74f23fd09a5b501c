import { expect, test } from "vitest";
import { CheckpointError, SourceError } from "../../../src/base/errors.js";
import { openCheckpoint } from "../../../src/io/checkpoint/checkpoint.js";
import { files, weights } from "../../support/checkpoint-parts.js";
import { readFixture } from "../../support/fixture.js";

function index(weightMap: unknown): string {
  return JSON.stringify({ metadata: { total_size: 12 }, weight_map: weightMap });
}

const INDEX = "model.safetensors.index.json";
const [A, B] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

async function faultOf(contents: Record<string, BlobPart>): Promise<string> {
  const checkpoint = await openCheckpoint(files(contents));
  const fault = await checkpoint.tensors().catch((error: unknown) => error);
  expect(fault).toBeInstanceOf(CheckpointError);
  return (fault as Error).message;
}

test("one file of weights", async () => {
  const tensors = await (await openCheckpoint(files({ "model.safetensors": weights("a", "b") }))).tensors();
  expect([...tensors.entries.keys()].sort()).toEqual(["a", "b"]);
  expect(tensors.shapes.get("b")).toEqual([4]);
  expect(tensors.sizeBytes).toBe(8);
  const b = tensors.entries.get("b")!;
  expect([...(await tensors.read(b, 0, 4))]).toEqual([1, 2, 3, 4]);
  expect([...(await tensors.read(b, 1, 2))]).toEqual([2, 3]);
  await expect(tensors.read(b, 1, 4)).rejects.toThrow(SourceError);
  await expect(tensors.read(b, -1, 1)).rejects.toThrow("within 4 bytes");
  await tensors.close();
  await expect(tensors.read(b, 0, 1)).rejects.toThrow("an open source");
});

test("one file wins over an index beside it", async () => {
  const contents = { "model.safetensors": weights("a"), [INDEX]: index({ b: A }), [A]: weights("b") };
  const tensors = await (await openCheckpoint(files(contents))).tensors();
  expect([...tensors.entries.keys()]).toEqual(["a"]);
});

test("shards are joined by their index", async () => {
  const contents = { [INDEX]: index({ a: A, b: B, c: B }), [A]: weights("a"), [B]: weights("b", "c") };
  const tensors = await (await openCheckpoint(files(contents))).tensors();
  expect(tensors.entries.size).toBe(3);
  const c = tensors.entries.get("c")!;
  expect(c.source.name).toBe(B);
  expect([...(await tensors.read(c, 0, 4))]).toEqual([1, 2, 3, 4]);
});

test("published shards are joined", async () => {
  const names = [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`);
  const contents: Record<string, BlobPart> = {};
  for (const name of [INDEX, ...names]) {
    contents[name] = (await readFixture(`goldens/lmms-7b-like/${name}`)) as Uint8Array<ArrayBuffer>;
  }
  const tensors = await (await openCheckpoint(files(contents))).tensors();
  // total_size of the index file.
  expect(tensors.sizeBytes).toBe(6838464);
  expect(tensors.entries.get("lm_head.weight")?.source.name).toBe(names[2]);
});

test.each<[string, Record<string, BlobPart>, string[]]>([
  ["no files", {}, ["model.safetensors", "no files"]],
  ["files without weights", { "config.json": "{}" }, ["no such file beside config.json"]],
  ["a pickle", { "pytorch_model.bin": "x", "config.json": "{}" }, ["pytorch_model.bin, a pickle", "safetensors"]],
  ["pickled shards", { "pytorch_model-00001-of-00002.bin": "x" }, ["pickle"]],
  ["shards without an index", { [A]: weights("a"), [B]: weights("b") }, ["shards without their index", INDEX]],
  ["an adapter", { "adapter_model.safetensors": weights("a") }, ["adapter_model.safetensors", "whole model"]],
  ["missing shards", { [INDEX]: index({ a: A, b: B }), [A]: weights("a") }, [`missing: ${B}`, "2 files"]],
  [
    "a tensor that the shard lacks",
    { [INDEX]: index({ a: A, z: A }), [A]: weights("a") },
    [A, "tensor z", "no such tensor"],
  ],
  [
    "a tensor that the index lacks",
    { [INDEX]: index({ a: A }), [A]: weights("a", "z") },
    ["tensor z", `an entry in ${INDEX}`],
  ],
  [
    "a tensor in two shards",
    { [INDEX]: index({ a: A, b: B }), [A]: weights("a"), [B]: weights("a", "b") },
    [`it in ${A} only`, `got it in ${B}`],
  ],
  ["an index that is broken", { [INDEX]: "{", [A]: weights("a") }, [INDEX, "line 1, column 2"]],
  ["an index without a map", { [INDEX]: "{}" }, ["weight_map: expected an object, got nothing"]],
  ["a shard name that is no text", { [INDEX]: index({ a: 1 }) }, ["weight_map.a", "got 1"]],
  ["a shard outside the place", { [INDEX]: index({ a: "../x.safetensors" }) }, ["weight_map.a", "../x"]],
  ["a shard of another kind", { [INDEX]: index({ a: "x.safetensors.md" }) }, ["weight_map.a"]],
  ["a broken shard", { [INDEX]: index({ a: A }), [A]: "short" }, [A, "at least 8 bytes"]],
])("%s: refused", async (_, contents, words) => {
  const message = await faultOf(contents);
  for (const word of words) expect(message).toContain(word);
});
