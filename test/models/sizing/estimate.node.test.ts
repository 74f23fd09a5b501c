import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CheckpointError, OverBudgetError } from "../../../src/base/errors.js";
import { tinyCheckpoint } from "../../../src/cli/tiny-checkpoint.js";
import { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import { type EstimateOptions, estimate } from "../../../src/models/sizing/estimate.js";
import { Device } from "../../../src/runtime/device.js";
import { type HubFileContent, HubServer } from "../../support/hub-server.js";

// What an estimate reads over the network and what it leaves in the cache folder: headers, and nothing.

const NAME = "ocellus-test/tiny";
const WEIGHTS = "model.safetensors";
/** What one first request for a file brings. */
const HEAD_BYTES = 64 * 1024;

let files: Map<string, HubFileContent>;
let cacheFolder: string;
let server: HubServer;

beforeEach(async () => {
  files = new Map();
  for (const name of await readdir(tinyCheckpoint())) {
    // The folder is a package of npm as well.
    if (!/\.(json|safetensors)$/.test(name) || name === "package.json") continue;
    files.set(name, { bytes: await readFile(join(tinyCheckpoint(), name)), large: name === WEIGHTS });
  }
  cacheFolder = await mkdtemp(join(tmpdir(), "hub cache "));
  server = await new HubServer(NAME, "0123456789abcdef0123456789abcdef01234567", files).start();
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT"])
    vi.stubEnv(name, "");
  vi.stubEnv("HF_HOME", cacheFolder);
});

afterEach(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  await server.stop();
  await rm(cacheFolder, { recursive: true });
});

const hub = () => ({ endpoint: server.endpoint, cacheFolder });
const ofHub = (options: EstimateOptions = {}) => estimate(NAME, { ...hub(), ...options });
const totalBytes = () => [...files.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
const sentBytes = () => server.requests.reduce((sum, request) => sum + request.bytesSent, 0);

test("a hub id: headers are read, nothing is cached, and no adapter is opened", async () => {
  const open = vi.spyOn(Device, "open");
  const download = { totalBytes: totalBytes(), missingBytes: totalBytes() };
  expect(await ofHub()).toEqual({ ...(await estimate(tinyCheckpoint())), download });
  expect(server.bytesOf(WEIGHTS)).toBe(HEAD_BYTES);
  expect(server.bytesOf("tokenizer.json")).toBe(0);
  expect(await readdir(cacheFolder)).toEqual([]);
  expect(open).not.toHaveBeenCalled();
});

test("a header beyond the first request is read to its end and no further", async () => {
  const { bytes } = files.get(WEIGHTS)!;
  const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const padding = 100_000;
  const padded = new Uint8Array(bytes.length + padding).fill(0x20);
  padded.set(bytes.subarray(0, 8 + headerBytes));
  new DataView(padded.buffer).setBigUint64(0, BigInt(headerBytes + padding), true);
  padded.set(bytes.subarray(8 + headerBytes), 8 + headerBytes + padding);
  files.set(WEIGHTS, { bytes: padded, large: true });
  const { weightsBytes } = await ofHub();
  expect(weightsBytes).toBe((await estimate(tinyCheckpoint())).weightsBytes);
  expect(server.bytesOf(WEIGHTS)).toBe(HEAD_BYTES + headerBytes + padding);
});

test("what is in the cache is not missing, and is not read over the network", async () => {
  (await LlavaOneVision.load(NAME, hub())).dispose();
  server.requests.length = 0;
  expect((await ofHub()).download).toEqual({ totalBytes: totalBytes(), missingBytes: 0 });
  expect(server.requests).toEqual([]);
  expect((await ofHub({ offline: true })).download.missingBytes).toBe(0);
  // A file that another commit has too is linked, not downloaded.
  await rm(join(cacheFolder, "models--ocellus-test--tiny", "snapshots", server.commit, "tokenizer.json"));
  expect((await ofHub()).download.missingBytes).toBe(0);
  await rm(join(cacheFolder, "models--ocellus-test--tiny", "blobs"), { recursive: true });
  expect((await ofHub()).download.missingBytes).toBe(totalBytes());
  expect(server.bytesOf(WEIGHTS)).toBe(HEAD_BYTES);
});

test("offline and without a cache there is nothing to estimate", async () => {
  await expect(ofHub({ offline: true })).rejects.toThrow(CheckpointError);
  expect(server.requests).toEqual([]);
});

test("a URL and a stream, which are not cached", async () => {
  const url = `${server.endpoint}/${NAME}/resolve/main`;
  expect((await estimate(url)).download).toEqual({ totalBytes: totalBytes(), missingBytes: totalBytes() });
  expect(server.bytesOf(WEIGHTS)).toBe(HEAD_BYTES);
  server.requests.length = 0;
  expect((await ofHub({ stream: true })).download.missingBytes).toBe(totalBytes());
  expect(server.bytesOf(WEIGHTS)).toBe(HEAD_BYTES);
});

test("loading over the budget is refused before anything is downloaded", async () => {
  const open = vi.spyOn(Device, "open");
  const loading = LlavaOneVision.load(NAME, { ...hub(), memoryBudget: 50e6 });
  await expect(loading).rejects.toThrow(OverBudgetError);
  await expect(loading).rejects.toThrow(/^ocellus-test\/tiny: expected at most 47\.7 MiB \(memoryBudget\), got /);
  expect(sentBytes()).toBeLessThan(HEAD_BYTES + 64 * 1024);
  expect(await readdir(cacheFolder)).toEqual([]);
  expect(open).not.toHaveBeenCalled();
});
