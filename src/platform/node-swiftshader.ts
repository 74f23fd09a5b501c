import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { cacheFolder, unpackOnce } from "./node-unpack.js";

/** An installed `@sparticuz/chromium`: a headless Chromium with SwiftShader, from npm alone (linux x64). */
export interface ChromiumPackage {
  /** Folder with chromium.br, swiftshader.tar.br and al2023.tar.br. */
  bin: string;
  version: string;
}

/** `RTLD_NODELETE` of glibc and musl, not among Node's constants: the library stays although Node refuses it as an addon. */
const RTLD_NODELETE = 0x1000;

/** The variables the Vulkan loader takes its driver list from; the newer name wins where both are set. */
const DRIVER_VARIABLES = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] as const;

/** Finds `@sparticuz/chromium` as Ocellus would import it, then as the program in the current folder would; undefined where absent. */
export function findChromiumPackage(): ChromiumPackage | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    try {
      // The package exports neither package.json nor bin; its entry is <package>/build/<kind>/<file>.
      const root = join(dirname(createRequire(from).resolve("@sparticuz/chromium")), "..", "..");
      const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
      if (existsSync(join(root, "bin", "swiftshader.tar.br"))) return { bin: join(root, "bin"), version };
    } catch {
      // Not installed there.
    }
  }
  return undefined;
}

/** Unpacks SwiftShader and its Vulkan loader once per user and version; returns the folder. */
export function unpackSwiftShader(chromium: ChromiumPackage): Promise<string> {
  const folder = cacheFolder("swiftshader", chromium.version);
  return unpackOnce([join(chromium.bin, "swiftshader.tar.br")], folder, "vk_swiftshader_icd.json");
}

/** Puts the bundled Vulkan loader into this process, so that Dawn's own `dlopen("libvulkan.so.1")` finds one where the system has none. */
export function loadVulkanLoader(folder: string): void {
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  try {
    process.dlopen({ exports: {} }, join(folder, "libvulkan.so.1"), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  } catch {
    // Expected: "Module did not self-register". A loader that truly failed shows as a missing adapter.
  }
}

/** Runs `open` while the Vulkan loader sees SwiftShader as the only driver, then restores the environment. */
export async function withSwiftShaderOnly<T>(folder: string, open: () => Promise<T>): Promise<T> {
  const before = DRIVER_VARIABLES.map((name) => process.env[name]);
  for (const name of DRIVER_VARIABLES) process.env[name] = join(folder, "vk_swiftshader_icd.json");
  try {
    return await open();
  } finally {
    DRIVER_VARIABLES.forEach((name, index) => {
      const value = before[index];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    });
  }
}
