import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { platform } from "../../src/platform/node.js";
import { readTar } from "../../src/platform/node-unpack.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-files-"));
  await writeFile(join(folder, "b.bin"), Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  await writeFile(join(folder, "a.txt"), "");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a file reads by ranges, shorter at its end", async () => {
  const file = await platform.openFile(join(folder, "b.bin"));
  expect(file.sizeBytes).toBe(10);
  expect([...(await file.read(3, 4))]).toEqual([3, 4, 5, 6]);
  expect([...(await file.read(8, 4))]).toEqual([8, 9]);
  expect(await file.read(12, 4)).toHaveLength(0);
  await file.close();
});

test("a folder lists its names in order and is no file", async () => {
  expect(await platform.listFolder(folder)).toEqual(["a.txt", "b.bin"]);
  await expect(platform.openFile(folder)).rejects.toThrow("got a folder");
  await expect(platform.listFolder(join(folder, "a.txt"))).rejects.toThrow("got a file where a folder should be");
});

test("waiting on a CPU adapter leaves the core to it", async () => {
  const before = process.cpuUsage();
  await platform.waitFor(new Promise((resolve) => setTimeout(resolve, 300)), {} as GPUQueue, true);
  const { user, system } = process.cpuUsage(before);
  expect(user + system).toBeLessThan(150_000);
});

test("a tar archive that is cut short is refused", () => {
  const header = new Uint8Array(512);
  header.set(new TextEncoder().encode("name"));
  header.set(new TextEncoder().encode("00000001000"), 124);
  expect(() => readTar(header)).toThrow("cut short");
});

test("an unknown OCELLUS_ADAPTER is refused, not guessed", async () => {
  vi.stubEnv("OCELLUS_ADAPTER", "fastest");
  try {
    await expect(platform.requestAdapter({})).rejects.toThrow('OCELLUS_ADAPTER: expected "system" or "swiftshader"');
  } finally {
    vi.unstubAllEnvs();
  }
});

test("without an adapter the error says what was tried and what to install", async () => {
  vi.stubEnv("OCELLUS_ADAPTER", "system");
  vi.stubEnv("VK_DRIVER_FILES", "/dev/null");
  try {
    // Only where the loader can be told to see no driver; elsewhere the machine has its adapter.
    if (process.platform !== "linux") return;
    await expect(platform.requestAdapter({})).rejects.toThrow(/expected an adapter \(system\), got none: .+ — install/);
  } finally {
    vi.unstubAllEnvs();
  }
});
