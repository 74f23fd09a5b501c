import { spawn } from "node:child_process";
import { appendFile, mkdir, mkdtemp, open, readdir, readFile, rm, watch, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckpointError, SourceError } from "../../src/base/errors.js";
import { NewFolder } from "../../src/cli/new-folder.js";
import { hasFinishedLayers, writePacked } from "../../src/cli/packed-folder.js";
import { tinyCheckpoint } from "../../src/cli/tiny-checkpoint.js";
import { openCheckpoint } from "../../src/io/checkpoint/checkpoint.js";
import { PackedFileLayout } from "../../src/io/checkpoint/packed-header.js";
import { verifyLayers } from "../../src/io/checkpoint/packed-layer.js";
import type { PackedPlan } from "../../src/models/packed-files.js";
import { MAIN, ROOT } from "../support/cli.js";
import { random } from "../support/random.js";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "ocellus-packed-"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
});

/** Opens a folder as loading does, and reads every layer. */
async function readWhole(folder: string): Promise<void> {
  const index = await (await openCheckpoint(folder)).tensors();
  try {
    await verifyLayers(index.packed!.layers);
  } finally {
    await index.close();
  }
}

async function contents(folder: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(folder)).sort();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)));
}

/** The names of files that differ, or that only one folder has; `toEqual` takes seconds for large files. */
function different(got: ReadonlyMap<string, Buffer>, truth: ReadonlyMap<string, Buffer>): string[] {
  const names = new Set([...got.keys(), ...truth.keys()]);
  return [...names].filter((name) => !(got.get(name) && truth.get(name)?.equals(got.get(name)!)));
}

describe("a folder of three layers", () => {
  const SIZES = [3000, 5, 700];
  /** A plan of layers of numbers. `failing`: the layer that is cut off. `packed`: receives the names of layers that are packed. */
  function plan(packed: string[] = [], failing?: number, id = "one"): PackedPlan {
    const layers = SIZES.map((size, i) => {
      const tensors = [{ name: `t${i}`, type: "f32" as const, parts: [{ name: `t${i}`, shape: [size] }] }];
      return { name: `layer ${i}`, tensors };
    });
    const layout = new PackedFileLayout(layers, 0);
    const ranges = layout.layers.map((range, i) => ({
      ...range,
      async *chunks() {
        packed.push(range.name);
        const bytes = new Uint8Array(range.lengthBytes).fill(i + 1);
        yield bytes.subarray(0, 8);
        if (i === failing) throw new SourceError({ where: "disk", expected: "more", got: "nothing", remedy: "wait" });
        yield bytes.subarray(8);
      },
    }));
    const header = (hashes: readonly string[]) => layout.header(hashes);
    const file = { name: "model.safetensors", sizeBytes: layout.sizeBytes, layers: ranges, header };
    return { id, files: [file], async *texts() {}, close: async () => {} };
  }

  async function write(target: string, what: PackedPlan): Promise<NewFolder> {
    const folder = await NewFolder.beside(join(root, target), false, true);
    await writePacked(folder, what, () => {});
    await folder.finish();
    return folder;
  }

  /** Leaves a partial folder whose last layer is cut off. */
  async function begun(target: string): Promise<NewFolder> {
    const folder = await NewFolder.beside(join(root, target), false, true);
    await expect(writePacked(folder, plan([], 2), () => {})).rejects.toThrow(SourceError);
    return folder;
  }

  let truth: Map<string, Buffer>;
  beforeAll(async () => {
    await write("whole", plan());
    truth = await contents(join(root, "whole"));
  });

  test("has the checkpoint and nothing else, and reports its progress", async () => {
    expect([...truth.keys()]).toEqual(["model.safetensors"]);
    await readWhole(join(root, "whole"));
    const told: [string, number, number][] = [];
    const folder = await NewFolder.beside(join(root, "told"), false, true);
    const bytes = await writePacked(folder, plan(), (...state) => told.push(state));
    expect(bytes).toBe(truth.get("model.safetensors")!.length);
    const done = told.filter(([doing]) => doing.startsWith("packing")).map(([, bytes]) => bytes);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(told.at(-1)).toEqual(["reading back:", 4 * 3705, 4 * 3705]);
    await folder.abandon();
  });

  test("resumes after the layers that are finished", async () => {
    const folder = await begun("resumed");
    expect(await hasFinishedLayers(folder)).toBe(true);
    await expect(readWhole(folder.partial)).rejects.toThrow(CheckpointError);
    const packed: string[] = [];
    await write("resumed", plan(packed));
    expect(packed).toEqual(["layer 2"]);
    expect(different(await contents(folder.path), truth)).toEqual([]);
  });

  test("a finished layer whose bytes have changed is packed again, and a line that is cut off is none", async () => {
    const folder = await begun("damaged");
    const file = await open(join(folder.partial, "model.safetensors"), "r+");
    await file.write(Uint8Array.of(9), 0, 1, plan().files[0]!.layers[1]!.offsetBytes);
    await file.close();
    await appendFile(join(folder.partial, "packing.jsonl"), '{"file":"model.safetensors","layer":"layer 2","sh');
    const packed: string[] = [];
    await write("damaged", plan(packed));
    expect(packed).toEqual(["layer 1", "layer 2"]);
    expect(different(await contents(folder.path), truth)).toEqual([]);
  });

  test("another plan, or a folder without the journal, begins anew", async () => {
    await begun("other");
    const packed: string[] = [];
    const folder = await NewFolder.beside(join(root, "other"), false, true);
    await writeFile(join(folder.partial, "left over"), "");
    await writePacked(folder, plan(packed, undefined, "two"), () => {});
    expect(packed).toEqual(["layer 0", "layer 1", "layer 2"]);
    expect(different(await contents(folder.partial), truth)).toEqual([]);
    expect(await hasFinishedLayers(folder)).toBe(false);
    await folder.abandon();
  });

  test("a layer that is read back with another hash is an error, and the folder is not finished", async () => {
    const folder = await NewFolder.beside(join(root, "rotten"), false, true);
    const rotten = plan();
    const [file] = rotten.files;
    const damaged = { ...rotten, files: [{ ...file!, header: () => file!.header(SIZES.map(() => "0".repeat(64))) }] };
    await expect(writePacked(folder, damaged, () => {})).rejects.toThrow(/layer layer 0.*damaged/s);
    await folder.abandon();
  });

  test("a place that is no folder is said", async () => {
    const folder = await NewFolder.beside(join(root, "gone"), false, true);
    await rm(folder.partial, { recursive: true });
    await writeFile(folder.partial, "");
    await expect(folder.write("a", plan().files[0]!.layers[0]!.chunks(), () => {})).rejects.toThrow(SourceError);
    await rm(folder.partial);
  });
});

/** Kills of this test; the number can be raised by hand. */
const KILLS = Number(process.env.OCELLUS_KILLS ?? 10);
const MS_A_KILL = 60_000;

/** Starts a conversion of the tiny checkpoint; resolves when it first changes something in `folder`, or has ended. */
async function convert(folder: string, name: string) {
  const args = ["convert", tinyCheckpoint(), join(folder, name), "--dtype", "q4", "--packed"];
  const watched = new AbortController();
  const changes = watch(folder, { recursive: true, signal: watched.signal })[Symbol.asyncIterator]();
  const changed = changes.next().catch(() => {});
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: ROOT, stdio: "ignore" });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  await Promise.race([changed, ended]);
  watched.abort();
  return { child, ended };
}

/** Resolves when a folder has a name. */
async function appears(folder: string, name: string): Promise<void> {
  while (!(await readdir(folder)).includes(name)) await setTimeout(5);
}

test(
  `after ${KILLS} kills at random moments, each followed by the same command, the folder is that of an undisturbed run`,
  async () => {
    const next = random(Number(process.env.OCELLUS_SEED ?? 1));
    const folder = join(root, "kills");
    await mkdir(folder);
    const first = await convert(folder, "undisturbed");
    const startMs = performance.now();
    await appears(folder, "undisturbed");
    const writingMs = performance.now() - startMs;
    expect(await first.ended).toBe(0);
    const truth = await contents(join(folder, "undisturbed"));
    const target = join(folder, "killed");
    const counts = { partial: 0, whole: 0 };
    for (let kill = 0; kill < KILLS; kill++) {
      const { child, ended } = await convert(folder, "killed");
      await setTimeout(writingMs * next());
      child.kill("SIGKILL");
      await ended;
      // What has the name of the target is whole; what is partial is no checkpoint, or has all its layers already.
      if ((await readdir(folder)).includes("killed")) {
        await readWhole(target);
        expect(different(await contents(target), truth)).toEqual([]);
        await rm(target, { recursive: true });
        counts.whole++;
      } else {
        const read = await readWhole(`${target}.partial`).catch((error: unknown) => error);
        expect(read === undefined || read instanceof CheckpointError, String(read)).toBe(true);
        counts.partial++;
      }
    }
    if (process.env.OCELLUS_KILLS) console.log(counts, `${writingMs} ms`);
    expect(counts.partial).toBeGreaterThan(0);
    const last = await convert(folder, "killed");
    expect(await last.ended).toBe(0);
    expect(different(await contents(target), truth)).toEqual([]);
    expect((await readdir(folder)).sort()).toEqual(["killed", "undisturbed"]);
  },
  KILLS * MS_A_KILL,
);
