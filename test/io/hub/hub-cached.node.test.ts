import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import { tinyCheckpoint } from "../../../src/cli/tiny-checkpoint.js";
import { openCheckpoint } from "../../../src/io/checkpoint/checkpoint.js";
import { cachedCheckpoints, deleteCheckpoint } from "../../../src/io/hub/hub-cached.js";
import { type HubFileContent, HubServer } from "../../support/hub-server.js";

// Listing and deleting cached hub checkpoints. test/demo has the same in a browser.

const NAME = "somebody/tiny";
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS = "model.safetensors";

let home: string;
let server: HubServer;
let totalBytes: number;

beforeEach(async () => {
  const files = new Map<string, HubFileContent>();
  for (const name of await readdir(tinyCheckpoint())) {
    if (!/\.(json|safetensors)$/.test(name)) continue;
    files.set(name, { bytes: await readFile(join(tinyCheckpoint(), name)), large: name === WEIGHTS });
  }
  totalBytes = [...files.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  home = await mkdtemp(join(tmpdir(), "hub kept "));
  server = await new HubServer(NAME, COMMIT, files).start();
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"]) vi.stubEnv(name, "");
  vi.stubEnv("HF_ENDPOINT", server.endpoint);
  vi.stubEnv("HF_HOME", home);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.stop();
  await rm(home, { recursive: true });
});

async function download(signal?: AbortSignal): Promise<void> {
  const files = await openCheckpoint(NAME, { ...(signal && { signal }) });
  await (await files.tensors()).close();
}

test("a checkpoint is listed with its bytes, and deleted", async () => {
  expect(await cachedCheckpoints()).toEqual([]);
  await download();
  expect(await cachedCheckpoints()).toEqual([
    {
      name: NAME,
      endpoint: "https://huggingface.co",
      commits: [COMMIT],
      cachedBytes: totalBytes,
      totalBytes,
      complete: true,
    },
  ]);
  // Other tools keep no listing.
  await rm(join(home, "hub/models--somebody--tiny/trees"), { recursive: true });
  expect(await cachedCheckpoints()).toMatchObject([{ cachedBytes: totalBytes, complete: true }]);
  await deleteCheckpoint(NAME);
  expect(await cachedCheckpoints()).toEqual([]);
  await expect(deleteCheckpoint(NAME)).rejects.toThrow(CheckpointError);
  await expect(deleteCheckpoint(NAME, { endpont: "" } as object)).rejects.toThrow(/did you mean `endpoint`/);
});

test("a download that was broken off is listed with what has arrived; one that is under way is waited for", async () => {
  server.faults.set(WEIGHTS, [{ stallAfterBytes: 1_000_000 }]);
  const controller = new AbortController();
  const broken = download(controller.signal);
  await expect.poll(() => server.bytesOf(WEIGHTS)).toBe(1_000_000);
  const impatient = AbortSignal.timeout(200);
  await expect(deleteCheckpoint(NAME, { signal: impatient })).rejects.toThrow(/abort/i);
  controller.abort();
  await expect(broken).rejects.toThrow(/abort/i);
  const [kept] = await cachedCheckpoints();
  expect(kept).toMatchObject({ totalBytes, complete: false });
  expect(kept!.cachedBytes).toBe(1_000_000 + totalBytes - 10_143_528);
  await deleteCheckpoint(NAME);
  expect(await cachedCheckpoints()).toEqual([]);
});
