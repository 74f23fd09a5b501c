import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { absentDrivers } from "../../src/platform/node-vulkan-drivers.js";

const onLinux = process.platform === "linux";
let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "ocellus-drivers-"));
  const names = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES", "XDG_CONFIG_HOME", "XDG_DATA_HOME"];
  for (const name of names) vi.stubEnv(name, "");
  vi.stubEnv("HOME", root);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

test.runIf(onLinux)("variables that name files or folders without a driver", async () => {
  for (const name of ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]) {
    vi.stubEnv(name, join(root, "none.json"));
    expect(absentDrivers()).toBe(`${name}=${join(root, "none.json")} names no driver.`);
    vi.stubEnv(name, root);
    expect(absentDrivers()).toContain("names no driver");
    await writeFile(join(root, "a.json"), "{}");
    expect(absentDrivers()).toBeUndefined();
    vi.stubEnv(name, `${join(root, "none.json")}:${join(root, "a.json")}`);
    expect(absentDrivers()).toBeUndefined();
    vi.stubEnv(name, "");
    await rm(join(root, "a.json"));
  }
});

test.runIf(onLinux).each([
  [".config", "HOME"],
  [".local/share", "HOME"],
  ["", "XDG_DATA_DIRS"],
  ["", "XDG_CONFIG_DIRS"],
])("drivers in a folder %s of %s", async (below, variable) => {
  vi.stubEnv(variable, variable === "HOME" ? root : `/nowhere:${root}`);
  const folder = join(root, below, "vulkan", "icd.d");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "gpu.json"), "{}");
  expect(absentDrivers()).toBeUndefined();
});
