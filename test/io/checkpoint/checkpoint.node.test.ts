import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CheckpointError, SourceError } from "../../../src/base/errors.js";
import { fileSource } from "../../../src/io/bytes/source.js";
import { openCheckpoint } from "../../../src/io/checkpoint/checkpoint.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "checkpoint "));
});
afterAll(() => rm(folder, { recursive: true }));

const GOLDENS = fileURLToPath(new URL("../../data/goldens/", import.meta.url));

test.each(["hf-05b-like", "lmms-7b-like", "hf5-f16"])("the folder %s is opened whole", async (model) => {
  const checkpoint = await openCheckpoint(join(GOLDENS, model));
  expect(await checkpoint.json("config.json")).toHaveProperty("model_type");
  expect(await checkpoint.has("cases/none.json")).toBe(false);
  expect(await checkpoint.has("nowhere/none.json")).toBe(false);
  const tensors = await checkpoint.tensors();
  const newline = [...tensors.entries.values()].find(({ entry }) => entry.name.endsWith("image_newline"))!;
  const bytes = await tensors.read(newline, 0, newline.entry.lengthBytes);
  expect(bytes).toHaveLength(newline.entry.shape[0]! * 2);
  expect(bytes.some((byte) => byte !== 0)).toBe(true);
  await tensors.close();
  await expect(tensors.read(newline, 0, 1)).rejects.toThrow(SourceError);
});

test("a file URL, a trailing slash and a subfolder", async () => {
  await mkdir(join(folder, "video_processor"));
  await writeFile(join(folder, "video_processor", "preprocessor_config.json"), "3");
  for (const location of [pathToFileURL(folder), String(pathToFileURL(folder)), `${folder}/`, folder]) {
    const checkpoint = await openCheckpoint(location);
    expect(await checkpoint.json("video_processor/preprocessor_config.json")).toBe(3);
    expect(await checkpoint.json("preprocessor_config.json")).toBeUndefined();
  }
});

test("an empty folder, a missing one, and a file in place of one", async () => {
  const empty = join(folder, "empty");
  await mkdir(empty);
  await expect((await openCheckpoint(empty)).tensors()).rejects.toThrow("no files");
  await writeFile(join(folder, "file"), "x");
  for (const path of [join(folder, "none"), join(folder, "file")]) {
    const fault = await openCheckpoint(path).catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(CheckpointError);
    expect((fault as Error).message).toContain(`${path}: expected a folder`);
  }
});

test("a file source reads ranges, and notices that its file was cut", async () => {
  const path = join(folder, "data.bin");
  await writeFile(
    path,
    Uint8Array.from({ length: 5000 }, (_, i) => i & 255),
  );
  const source = await fileSource(path);
  expect(source.sizeBytes).toBe(5000);
  expect([...(await source.read(254, 4))]).toEqual([254, 255, 0, 1]);
  await expect(source.read(4999, 2)).rejects.toThrow("a range within 5000 bytes");
  await truncate(path, 1000);
  await expect(source.read(990, 20)).rejects.toThrow("truncated");
  await source.close();
  await source.close();
  await expect(fileSource(join(folder, "none.bin"))).rejects.toBeInstanceOf(SourceError);
});
