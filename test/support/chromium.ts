import { join } from "node:path";
import { findChromiumPackage } from "../../src/platform/node-swiftshader.js";
import { readArchive, unpackOnce } from "../../src/platform/node-unpack.js";

/** How to start a headless Chromium with WebGPU on SwiftShader. */
export interface ChromiumLaunch {
  /** Undefined where the npm package has no build: Playwright's own Chromium is used. */
  executablePath: string | undefined;
  args: string[];
  env: Record<string, string>;
}

/** WebGPU is off by default on Linux; SwiftShader makes results equal on every machine. Root has no sandbox. */
const ARGS = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--no-sandbox"];

/**
 * Unpacks the Chromium of `@sparticuz/chromium` (once, outside the project) with the libraries that a bare Linux lacks.
 * All in one folder: Chromium looks for SwiftShader beside its executable and has no adapter otherwise.
 */
export async function chromiumLaunch(): Promise<ChromiumLaunch> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const found = findChromiumPackage();
  if (!found) return { executablePath: undefined, args: ARGS, env };
  const archives = ["chromium.br", "swiftshader.tar.br", "al2023.tar.br"].map((name) => join(found.bin, name));
  const files = async () => (await Promise.all(archives.map(readArchive))).flat();
  const folder = await unpackOnce(`chromium-${found.version}`, files);
  return {
    executablePath: join(folder, "chromium"),
    args: ARGS,
    env: { ...env, LD_LIBRARY_PATH: join(folder, "lib") },
  };
}
