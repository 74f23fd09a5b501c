import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { join } from "node:path";
import { installCommand } from "../base/optional-packages.js";
import { findPackage } from "./node-installed.js";
import { readArchive, type UnpackedFile, unpackOnce } from "./node-unpack.js";

/** An installed `@sparticuz/chromium`: a headless Chromium with SwiftShader, from npm alone (linux x64). */
export interface ChromiumPackage {
  /** Folder with chromium.br, swiftshader.tar.br and al2023.tar.br. */
  bin: string;
  version: string;
}

const PACKAGE = "@sparticuz/chromium";
const ARCHIVE = "swiftshader.tar.br";
const LIBRARY = "libvk_swiftshader.so";
/** Names the library to the Vulkan loader. */
const DRIVER_FILE = "vk_swiftshader_icd.json";
/** What Dawn opens: the Vulkan loader, or a driver under its name. */
const LOADER_NAME = "libvulkan.so.1";

/** `RTLD_NODELETE` of glibc, not among Node's constants: the library stays although Node refuses it as an addon. */
const RTLD_NODELETE = 0x1000;

/** The variables the Vulkan loader takes its driver list from; the newer name wins where both are set. */
const DRIVER_VARIABLES = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] as const;

/** Finds `@sparticuz/chromium` as Ocellus would import it, then as a program in the current folder would; undefined where absent. */
export function findChromiumPackage(from?: readonly string[]): ChromiumPackage | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const found = findPackage(PACKAGE, from);
  const bin = found && join(found.folder, "bin");
  return bin !== undefined && existsSync(join(bin, ARCHIVE)) ? { bin, version: found!.version } : undefined;
}

/**
 * Unpacks SwiftShader once per user and version; returns the folder. With `load` it is loaded into this process, under the name of the
 * Vulkan loader. Throws why that can't be done.
 */
export function unpackSwiftShader(chromium: ChromiumPackage, { load }: { load: boolean }): Promise<string> {
  const files = async (): Promise<UnpackedFile[]> => {
    const archive = await readArchive(join(chromium.bin, ARCHIVE));
    const wanted = archive.filter(({ name }) => name === LIBRARY || name === DRIVER_FILE);
    if (!wanted.some(({ name }) => name === LIBRARY)) {
      throw new Error(`${ARCHIVE} has no ${LIBRARY}; run \`${installCommand(PACKAGE)}\``);
    }
    return wanted.map((file) => (file.name === LIBRARY ? { ...file, bytes: underLoaderName(file.bytes) } : file));
  };
  const accept = (folder: string): void => loadLibrary(join(folder, LIBRARY));
  return unpackOnce(`libvk_swiftshader-${chromium.version}`, files, load ? accept : undefined);
}

/**
 * The library under the SONAME of the Vulkan loader. Dawn's own `dlopen("libvulkan.so.1")` finds it once it is in the process, so that
 * neither a loader nor environment variables are needed: in a worker thread `process.env` is a copy, and the loader reads the real one.
 */
function underLoaderName(library: Uint8Array): Uint8Array {
  const bytes = Buffer.from(library);
  const at = bytes.indexOf(`\0${LIBRARY}\0`, 0, "latin1");
  if (at < 0) throw new Error(`${LIBRARY} does not state its name`);
  bytes.write(LOADER_NAME.padEnd(LIBRARY.length, "\0"), at + 1, "latin1");
  return bytes;
}

function loadLibrary(path: string): void {
  // Bun and Deno close a library that is not an addon; their foreign functions keep it.
  if (process.versions.bun) {
    const ffi = createRequire(import.meta.url)("bun:ffi") as { dlopen(path: string, symbols: object): unknown };
    ffi.dlopen(path, { vkGetInstanceProcAddr: { args: ["ptr", "cstring"], returns: "ptr" } });
    return;
  }
  const { Deno } = globalThis as { Deno?: { dlopen(path: string, symbols: object): unknown } };
  if (Deno) {
    Deno.dlopen(path, { vkGetInstanceProcAddr: { parameters: ["pointer", "buffer"], result: "pointer" } });
    return;
  }
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (error) {
    // Node refuses every library that is not an addon, after it has been loaded. Other messages are the dynamic linker's.
    if (!(error instanceof Error && error.message.includes("did not self-register"))) throw error;
  }
}

/**
 * Runs `open` while the Vulkan loader sees SwiftShader as the only driver, then restores the environment. Only in the main
 * thread.
 */
export async function withSwiftShaderOnly<T>(folder: string, open: () => Promise<T>): Promise<T> {
  const before = DRIVER_VARIABLES.map((name) => process.env[name]);
  for (const name of DRIVER_VARIABLES) process.env[name] = join(folder, DRIVER_FILE);
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
