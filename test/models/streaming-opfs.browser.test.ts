import { afterAll, expect, test } from "vitest";
import type { NamedBlob } from "../../src/io/checkpoint/checkpoint.js";
import { openCache, SCHEME } from "../../src/platform/browser-cache.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { goldenIndex } from "../support/golden-case.js";
import type { Asked, Told } from "../support/opfs-goldens.js";
import { packedFiles } from "../support/packed.js";

// A worker reads layers from the origin private file system by synchronous access handles.

const ROOT = "ocellus-streaming-test";
/** Cases with few tiles; a checkpoint has one of them. */
const SMALL = ["image-50x37", "image-423x47"];
const { steps, models } = await goldenIndex();

const worker = new Worker(new URL("../support/opfs-goldens.ts", import.meta.url), { type: "module" });
afterAll(async () => {
  worker.terminate();
  await (await openCache())!.removeFolder(SCHEME + ROOT);
});

/** Writes files into a folder of the browser's storage. Returns its path. */
async function stored(name: string, files: readonly NamedBlob[]): Promise<string> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create: true });
  const folder = await root.getDirectoryHandle(name, { create: true });
  for (const file of files) {
    const writable = await (await folder.getFileHandle(file.name, { create: true })).createWritable();
    await writable.write(file);
    await writable.close();
  }
  return `${SCHEME}${ROOT}/${name}`;
}

function send<T>(message: Asked | "dispose"): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data as T);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(message);
  });
}

test.each(Object.entries(models))("a golden case of %s", async (folder, cases) => {
  await expectAnswers(folder, cases, await checkpointFiles(`goldens/${folder}`));
});

test("a golden case of a packed checkpoint, whose layers are copied as they are", async () => {
  const [folder, cases] = Object.entries(models)[0]!;
  await expectAnswers(folder, cases, await packedFiles(await checkpointFiles(`goldens/${folder}`), { dtype: "auto" }));
});

async function expectAnswers(folder: string, cases: readonly string[], files: readonly NamedBlob[]): Promise<void> {
  const location = await stored(folder, files);
  const name = SMALL.find((small) => cases.includes(small))!;
  const { faults, streamedBytes, readBytes } = await send<Told>({ location, folder, cases: [name], steps });
  expect(faults).toEqual([]);
  expect(readBytes).toBeGreaterThan(0);
  // A prompt and some steps; the first layers were read before.
  expect(streamedBytes).toBeGreaterThan(2 * readBytes);
  // While its layers stream its files can't be deleted.
  const cache = (await openCache())!;
  await expect(cache.removeFolder(location)).rejects.toThrow("a model whose layers stream");
  await send("dispose");
  await cache.removeFolder(location);
}
