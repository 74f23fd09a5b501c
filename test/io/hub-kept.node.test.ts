import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { tinyCheckpoint } from "../../src/cli/embedded.js";
import { openCheckpoint } from "../../src/io/checkpoint.js";
import { forgetCheckpoint, keptCheckpoints } from "../../src/io/hub-kept.js";
import { CheckpointError } from "../../src/runtime/errors.js";
import { type HubFileContent, HubServer } from "../support/hub-server.js";

// What is kept of hubs in the cache folder, and how it is deleted. test/demo has the same in a browser.

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
  expect(await keptCheckpoints()).toEqual([]);
  await download();
  expect(await keptCheckpoints()).toEqual([
    {
      name: NAME,
      endpoint: "https://huggingface.co",
      commits: [COMMIT],
      keptBytes: totalBytes,
      totalBytes,
      complete: true,
    },
  ]);
  // Other tools keep no listing.
  await rm(join(home, "hub/models--somebody--tiny/trees"), { recursive: true });
  expect(await keptCheckpoints()).toMatchObject([{ keptBytes: totalBytes, complete: true }]);
  await forgetCheckpoint(NAME);
  expect(await keptCheckpoints()).toEqual([]);
  await expect(forgetCheckpoint(NAME)).rejects.toThrow(CheckpointError);
  await expect(forgetCheckpoint(NAME, { endpont: "" } as object)).rejects.toThrow(/did you mean `endpoint`/);
});

test("a download that was broken off is listed with what has arrived; one that is under way is waited for", async () => {
  server.faults.set(WEIGHTS, [{ stallAfterBytes: 1_000_000 }]);
  const controller = new AbortController();
  const broken = download(controller.signal);
  await expect.poll(() => server.bytesOf(WEIGHTS)).toBe(1_000_000);
  const impatient = AbortSignal.timeout(200);
  await expect(forgetCheckpoint(NAME, { signal: impatient })).rejects.toThrow(/abort/i);
  controller.abort();
  await expect(broken).rejects.toThrow(/abort/i);
  const [kept] = await keptCheckpoints();
  expect(kept).toMatchObject({ totalBytes, complete: false });
  expect(kept!.keptBytes).toBe(1_000_000 + totalBytes - 7_509_128);
  await forgetCheckpoint(NAME);
  expect(await keptCheckpoints()).toEqual([]);
});
