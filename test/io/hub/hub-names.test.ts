import { describe, expect, test } from "vitest";
import { CheckpointError, OptionError } from "../../../src/base/errors.js";
import {
  CachePaths,
  gitHeader,
  type HubFile,
  hashOf,
  hubFile,
  isCommit,
  neededFiles,
  parseHubId,
  revisionOf,
} from "../../../src/io/hub/hub-names.js";

const SHA1 = "0123456789abcdef0123456789abcdef01234567";
const SHA256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

describe("ids", () => {
  test.each([
    ["llava-hf/llava-onevision-qwen2-0.5b-ov-hf", undefined],
    ["org/name@main", "main"],
    ["org/name@refs/pr/1", "refs/pr/1"],
    [`org/name@${SHA1}`, SHA1],
    ["Org_1/n.a_m-e", undefined],
  ])("%s", (text, revision) => {
    const id = parseHubId(text)!;
    expect(id.name).toBe(text.split("@")[0]);
    expect(id.revision).toBe(revision);
  });

  test.each([
    "name",
    "/org/name",
    "./name",
    "../name",
    "~/name",
    "org/name/more",
    "org/",
    "org/name@",
    "org\\name",
    "C:/name",
    "org/na--me",
    "org/na..me",
    "org/name.git",
    "org/name-",
    "org/.name",
    "https://host/name",
    "",
  ])("%j is none", (text) => {
    expect(parseHubId(text)).toBeUndefined();
  });

  test("one revision, which may be a path and may not leave the folder", () => {
    expect(revisionOf({ name: "o/n" }, undefined)).toBe("main");
    expect(revisionOf({ name: "o/n" }, "refs/pr/1")).toBe("refs/pr/1");
    expect(revisionOf({ name: "o/n", revision: "a" }, "a")).toBe("a");
    for (const wrong of ["", "..", "a/../b", "/a", "a/", "a\\b", "a\0b", "a:b"]) {
      expect(() => revisionOf({ name: "o/n" }, wrong)).toThrow(OptionError);
    }
    expect([SHA1, SHA1.slice(1), "main"].map(isCommit)).toEqual([true, false, false]);
  });
});

describe("files of a listing", () => {
  test("the length of an etag determines its hash algorithm", () => {
    expect(hashOf(SHA1)).toBe("git-sha1");
    expect(hashOf(SHA256)).toBe("sha256");
    for (const other of ["", "abc", SHA1.toUpperCase(), `"${SHA1}"`, `${SHA1}-2`])
      expect(hashOf(other)).toBeUndefined();
    expect(new TextDecoder().decode(gitHeader(12))).toBe("blob 12\0");
  });

  test("a large file is known by SHA-256, a small one by git's SHA-1", () => {
    expect(hubFile("x", "a/b.json", 3, SHA1, undefined, undefined).hash).toBe(SHA1);
    const large = hubFile("x", "b", 3, SHA1, SHA256, SHA256);
    expect(large).toEqual({ path: "b", sizeBytes: 3, hash: SHA256, gitHash: SHA1, xetHash: SHA256 });
  });

  test.each([
    ["../a", 1, SHA1],
    ["a/../../b", 1, SHA1],
    ["/a", 1, SHA1],
    ["C:a", 1, SHA1],
    ["a\\..\\b", 1, SHA1],
    ["a", -0.5, SHA1],
    ["a", undefined, SHA1],
    ["a", 1, "../../x"],
    ["a", 1, undefined],
    [undefined, 1, SHA1],
  ])("path %j, size %j, hash %j are refused", (path, size, hash) => {
    expect(() => hubFile("hub", path, size, hash, undefined, undefined)).toThrow(CheckpointError);
  });

  const named = (...paths: string[]): HubFile[] =>
    paths.map((path) => ({ path, sizeBytes: 1, hash: SHA1, gitHash: SHA1 }));
  const weightsOf = (...paths: string[]) => neededFiles(named(...paths)).weights.map(({ path }) => path);

  test("what a model needs", () => {
    const { configs } = neededFiles(
      named("config.json", "chat_template.jinja", "video_processor/a.json", "onnx/config.json", "README.md", "m.txt"),
    );
    expect(configs.map(({ path }) => path)).toEqual(["config.json", "chat_template.jinja", "video_processor/a.json"]);
    const [one, two] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    expect(weightsOf(one, two, "model.safetensors", "pytorch_model.bin", "onnx/a.safetensors")).toEqual([
      "model.safetensors",
    ]);
    expect(weightsOf(one, two, "adapter.safetensors", "model-1.safetensors.md")).toEqual([one, two]);
    expect(weightsOf("other.safetensors")).toEqual(["other.safetensors"]);
  });

  test("paths in the cache folder", () => {
    const paths = new CachePaths("/c", "org/name");
    expect(paths.ref("refs/pr/1")).toBe("/c/models--org--name/refs/refs/pr/1");
    expect(paths.snapshot(SHA1, "a/b.json")).toBe(`/c/models--org--name/snapshots/${SHA1}/a/b.json`);
    expect(paths.blob(SHA256)).toBe(`/c/models--org--name/blobs/${SHA256}`);
    expect(paths.incomplete(SHA256)).toBe(`${paths.blob(SHA256)}.incomplete`);
    expect(paths.lock(SHA256).startsWith("/c/.locks/models--org--name/")).toBe(true);
  });
});
