import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { convert } from "../../src/cli/convert.js";
import { tinyCheckpoint } from "../../src/cli/embedded.js";
import { LlavaOneVision } from "../../src/models/llava-onevision/model.js";
import { CheckpointError, OptionError } from "../../src/runtime/errors.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-convert-"));
  vi.spyOn(process.stdout, "write").mockReturnValue(true);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

test("writes a folder that loads and is smaller, and does not write over it unasked", async () => {
  const target = join(folder, "small");
  await convert([tinyCheckpoint(), target, "--dtype", "q4"]);
  const size = async (path: string) => (await stat(join(path, "model.safetensors"))).size;
  expect(await size(target)).toBeLessThan(0.4 * (await size(tinyCheckpoint())));
  const model = await LlavaOneVision.load(target);
  expect(model.network.language.embedding.table.type).toBe("q4");
  model.dispose();
  await expect(convert([tinyCheckpoint(), target, "--dtype", "q8"])).rejects.toThrow("--force");
  await convert([tinyCheckpoint(), target, "--dtype", "embed=q8", "--force"]);
  expect(await readdir(folder)).toEqual(["small"]);
});

test("what fails leaves nothing", async () => {
  const target = join(folder, "none");
  await expect(convert([join(folder, "missing"), target, "--dtype", "q4"])).rejects.toThrow(CheckpointError);
  const stopped = convert([tinyCheckpoint(), target, "--dtype", "q4"]);
  process.emit("SIGINT");
  await expect(stopped).rejects.toThrow("abort");
  expect(existsSync(target)).toBe(false);
  expect(existsSync(`${target}.partial`)).toBe(false);
});

test.each([
  [[], "FROM, TO and --dtype"],
  [["a", "b"], "FROM, TO and --dtype"],
  [["a", "b", "c", "--dtype", "q4"], "FROM, TO and --dtype"],
  [[tinyCheckpoint(), "x", "--dtype", "q5"], "q5"],
  [["a", "b", "--dtpye", "q4"], "--dtype"],
])("%j is refused", async (args, said) => {
  const refused = convert(args);
  await expect(refused).rejects.toThrow(OptionError);
  await expect(refused).rejects.toThrow(said);
});
