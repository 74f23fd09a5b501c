import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { AbortedError, CheckpointError, OcellusError, OptionError } from "../../src/base/errors.js";
import { convert as command } from "../../src/cli/convert.js";
import { Interruption } from "../../src/cli/interruption.js";
import { runCommand } from "../../src/cli/run-command.js";
import { tinyCheckpoint } from "../../src/cli/tiny-checkpoint.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";

let folder: string;
const convert = (args: readonly string[], interruption = new Interruption()) => runCommand(command, args, interruption);
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
  expect(model.internals.network.language.embedding.table.type).toBe("q4");
  model.dispose();
  await expect(convert([tinyCheckpoint(), target, "--dtype", "q8"])).rejects.toThrow("--force");
  await convert([tinyCheckpoint(), target, "--dtype", "embed=q8", "--force"]);
  expect(await readdir(folder)).toEqual(["small"]);
});

describe("a failure leaves no files", () => {
  const target = () => join(folder, "none");
  afterEach(async () => {
    expect(existsSync(target())).toBe(false);
    expect(existsSync(`${target()}.partial`)).toBe(false);
  });

  test("no checkpoint", async () => {
    const failing = convert([join(folder, "missing"), target(), "--dtype", "q4"]);
    await expect(failing).rejects.toThrow(CheckpointError);
  });

  test.each(["SIGINT", "SIGTERM"] as const)("%s at once", async (signal) => {
    const interruption = new Interruption();
    const stopped = convert([tinyCheckpoint(), target(), "--dtype", "q4"], interruption);
    interruption.interrupt(signal);
    await expect(stopped).rejects.toThrow(AbortedError);
  });

  test("SIGINT in the middle of the weights", async () => {
    const interruption = new Interruption();
    const stopped = convert([tinyCheckpoint(), target(), "--dtype", "f32"], interruption);
    const outcome = stopped.catch((error: unknown) => error);
    const weights = join(`${target()}.partial`, "model.safetensors");
    while (!existsSync(weights) || (await stat(weights)).size < 10_000) await setImmediate();
    interruption.interrupt("SIGINT");
    expect(await outcome).toBeInstanceOf(AbortedError);
  });
});

describe("--force", () => {
  test("keeps what was there until the new checkpoint is whole", async () => {
    const target = join(folder, "kept");
    await convert([tinyCheckpoint(), target, "--dtype", "q4"]);
    const before = await readFile(join(target, "model.safetensors"));
    await expect(convert([join(folder, "missing"), target, "--dtype", "q8", "--force"])).rejects.toThrow(
      CheckpointError,
    );
    expect(before.equals(await readFile(join(target, "model.safetensors")))).toBe(true);
    // Its own source may be replaced too: it has been read by then.
    await convert([target, target, "--dtype", "f32", "--force"]);
    expect((await stat(join(target, "model.safetensors"))).size).toBeGreaterThan(4 * before.length);
    expect((await readdir(folder)).filter((name) => name.startsWith("kept"))).toEqual(["kept"]);
  });

  test("replaces only a checkpoint or an empty folder", async () => {
    const home = join(folder, "home");
    await mkdir(home);
    await writeFile(join(home, "letter.txt"), "dear");
    const letter = join(home, "letter.txt");
    for (const target of [home, letter]) {
      const failing = convert([tinyCheckpoint(), target, "--dtype", "q4", "--force"]);
      await expect(failing).rejects.toThrow("a checkpoint or an adapter to replace");
    }
    expect(await readdir(home)).toEqual(["letter.txt"]);
    await mkdir(join(home, "empty"));
    await convert([tinyCheckpoint(), join(home, "empty"), "--dtype", "q4", "--force"]);
    expect(await readdir(join(home, "empty"))).toContain("config.json");
  });
});

test("a place that cannot be written to is said", async () => {
  await writeFile(join(folder, "file"), "");
  const failing = convert([tinyCheckpoint(), join(folder, "file", "small"), "--dtype", "q4"]);
  await expect(failing).rejects.toThrow(OcellusError);
  await expect(failing).rejects.toThrow("file");
});

test("several files of weights load", async () => {
  const target = join(folder, "shards");
  await convert([tinyCheckpoint(), target, "--dtype", "vision=q8,language=q4", "--shard-bytes", "1000000"]);
  const names = await readdir(target);
  expect(names).toContain("model.safetensors.index.json");
  expect(names).toContain("model-00001-of-00005.safetensors");
  const model = await LlavaOneVision.load(target);
  expect(model.internals.network.language.layers[0]!.mlp.down.weight.type).toBe("q4");
  expect(model.internals.network.vision.layers[0]!.mlp.fc2.weight.type).toBe("q8");
  expect(model.internals.network.language.embedding.table.type).toBe("f16");
  model.dispose();
});

describe("--packed", () => {
  test("writes a checkpoint that loads without packing, and replaces one only if told", async () => {
    const target = join(folder, "packed");
    await convert([tinyCheckpoint(), target, "--dtype", "q4", "--packed"]);
    const run = vi.spyOn(Device.prototype, "run");
    const model = await LlavaOneVision.load(target);
    expect(run.mock.calls.filter(([{ name }]) => name.startsWith("pack"))).toEqual([]);
    run.mockRestore();
    expect(model.internals.network.language.embedding.table.type).toBe("q4");
    model.dispose();
    await expect(convert([tinyCheckpoint(), target, "--dtype", "q8", "--packed"])).rejects.toThrow("--force");
    await convert([tinyCheckpoint(), target, "--dtype", "q8", "--packed", "--force", "--shard-bytes", "1000000"]);
    expect(await readdir(target)).toContain("model.safetensors.index.json");
    expect((await readdir(folder)).filter((name) => name.startsWith("packed"))).toEqual(["packed"]);
  });

  test("an interruption keeps what is finished, and the same command goes on from there", async () => {
    const target = join(folder, "resumed");
    const journal = join(`${target}.partial`, "packing.jsonl");
    const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const interruption = new Interruption();
    const args = [tinyCheckpoint(), target, "--dtype", "q4", "--packed"];
    const outcome = convert(args, interruption).catch((error: unknown) => error);
    const finished = async () => (existsSync(journal) ? (await readFile(journal, "utf8")).split("\n").length - 2 : 0);
    while ((await finished()) < 2 && !existsSync(target)) await setImmediate();
    interruption.interrupt("SIGINT");
    expect(await outcome).toBeInstanceOf(AbortedError);
    expect(stderr.mock.calls.join()).toContain(`${target}.partial has the layers that are finished`);
    stderr.mockRestore();
    expect(existsSync(target)).toBe(false);
    const before = await finished();
    expect(before).toBeGreaterThanOrEqual(2);
    await convert(args);
    const model = await LlavaOneVision.load(target);
    model.dispose();
    expect(existsSync(`${target}.partial`)).toBe(false);
  });

  test("a failure before the first layer leaves nothing", async () => {
    const target = join(folder, "never");
    await expect(convert([join(folder, "missing"), target, "--dtype", "q4", "--packed"])).rejects.toThrow(
      CheckpointError,
    );
    expect(existsSync(`${target}.partial`)).toBe(false);
  });

  test("a damaged layer is refused with file, layer and remedy", async () => {
    const target = join(folder, "damaged");
    await convert([tinyCheckpoint(), target, "--dtype", "q4", "--packed"]);
    const file = join(target, "model.safetensors");
    const bytes = await readFile(file);
    bytes[bytes.length - 5]! ^= 1;
    await writeFile(file, bytes);
    const loading = LlavaOneVision.load(target);
    await expect(loading).rejects.toThrow(CheckpointError);
    await expect(loading).rejects.toThrow(/model\.safetensors: layer image_newline.*convert the original/s);
  });
});

test.each([
  [[], "FROM, TO and --dtype"],
  [["a", "b"], "FROM, TO and --dtype"],
  [["a", "b", "c", "--dtype", "q4"], "at most 2 arguments"],
  [[tinyCheckpoint(), "x", "--dtype", "q5"], "q5"],
  [["a", "b", "--dtpye", "q4"], "--dtype"],
  [["a", "x", "--dtype", "vision=q4,language"], "PART=TYPE"],
  [["a", "x", "--dtype", "vision=q4,"], "PART=TYPE"],
  [["a", "x", "--dtype", "vision=q4=q8"], "PART=TYPE"],
  [["a", "x", "--dtype", "vision=q4,vision=q8"], "vision twice"],
  [["a", "x", "--dtype", "visoin=q4"], "vision"],
  [["a", "x", "--dtype", "q4", "--shard-bytes", "0"], "above 0"],
])("%j is refused", async (args, said) => {
  const refused = convert(args);
  await expect(refused).rejects.toThrow(OptionError);
  await expect(refused).rejects.toThrow(said);
});
