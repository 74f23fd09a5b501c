import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { OcellusError } from "../../src/base/errors.js";
import { openCheckpoint } from "../../src/io/checkpoint/checkpoint.js";
import { writeSafetensors } from "../../src/io/checkpoint/safetensors.js";
import { FileFaults } from "../support/file-faults.js";
import { type HubFileContent, HubServer, sha256 } from "../support/hub-server.js";

// Every file operation of a download fails once: the call ends as always or with a typed error, and the next one has all files, right.

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const TINY = fileURLToPath(new URL("../../models/tiny/", import.meta.url));

let server: HubServer;
let parent: string;
let faults: FileFaults;
let weights: string;
beforeAll(async () => {
  const files = new Map<string, HubFileContent>();
  for (const name of await readdir(TINY)) {
    if (/^(config|tokenizer_config)\.json$/.test(name))
      files.set(name, { bytes: await readFile(join(TINY, name)), large: false });
  }
  const tensor = { name: "a", dtype: "F32", shape: [50_000], bytes: new Uint8Array(200_000).fill(7) } as const;
  files.set("model.safetensors", { bytes: Buffer.concat(writeSafetensors([tensor])), large: true });
  weights = sha256(files.get("model.safetensors")!.bytes);
  server = await new HubServer("ocellus-test/tiny", COMMIT, files).start();
  parent = await mkdtemp(join(tmpdir(), "ocellus-faults-"));
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_ENDPOINT"]) vi.stubEnv(name, "");
  faults = await FileFaults.within(parent);
});
afterAll(async () => {
  faults.restore();
  vi.unstubAllEnvs();
  await server.stop();
  await rm(parent, { recursive: true });
});

/** Downloads everything into a folder, and reads it. */
async function download(cacheFolder: string): Promise<void> {
  const files = await openCheckpoint("ocellus-test/tiny", {
    endpoint: server.endpoint,
    cacheFolder,
    retryDelayMilliseconds: 1,
  });
  expect(await files.json("config.json")).toMatchObject({ model_type: expect.any(String) });
  const tensors = await files.tensors();
  try {
    const [first] = tensors.entries.values();
    expect(await tensors.read(first!, 0, 4)).toHaveLength(4);
  } finally {
    await tensors.close();
  }
}

it("and nothing is lost, whichever operation it is", async () => {
  faults.failAt(undefined);
  await download(join(parent, "whole"));
  const count = faults.count;
  expect(count).toBeGreaterThan(30);
  const outcomes = new Map<string, number>();
  for (let at = 0; at < count; at++) {
    const folder = join(parent, String(at));
    faults.failAt(at);
    const outcome = await download(folder).then(
      () => "downloaded",
      (error: unknown) => {
        expect(error, `${at}: ${faults.injected}`).toBeInstanceOf(OcellusError);
        return (error as OcellusError).code;
      },
    );
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    const injected = faults.injected;
    faults.failAt(undefined);
    await download(folder);
    const blobs = join(folder, "models--ocellus-test--tiny", "blobs");
    const names = await readdir(blobs);
    expect(names, `after ${at}: ${injected}`).toContain(weights);
    expect(names.filter((name) => name.endsWith(".incomplete"))).toEqual([]);
    expect(sha256(await readFile(join(blobs, weights)))).toBe(weights);
    await rm(folder, { recursive: true });
  }
  const said = Array.from(outcomes, ([outcome, times]) => `${times} ${outcome}`).join(", ");
  console.log(`files of a download: ${count} points, ${said}`);
});
