import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { build } from "vite";
import { ROOT } from "./cli.js";

/** Whatever changes the built page: its source, the compiled library, the embedded checkpoint, and the packages. */
const INPUTS = ["demo", "dist", "models/tiny", "package.json", "package-lock.json"];

const CACHE = join(ROOT, "node_modules/.cache/ocellus-page");

/** Pages of other inputs are deleted after this time: another run may serve one. */
const ABANDONED_AFTER_MS = 3600_000;

/** The page as `npm run demo:build` builds it, built once for all files and runs of the same inputs. Returns its folder, to be read only. */
export async function builtPage(): Promise<string> {
  if (!existsSync(join(ROOT, "dist"))) throw new Error("dist is missing: run `npm run build` before the tests");
  const folder = join(CACHE, await hashOf(INPUTS));
  if (existsSync(folder)) return folder;
  await mkdir(CACHE, { recursive: true });
  await removeAbandoned();
  const temporary = await mkdtemp(`${folder}.`);
  await build({
    configFile: join(ROOT, "demo/vite.config.ts"),
    build: { outDir: temporary, emptyOutDir: true },
    logLevel: "error",
  });
  try {
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    // Otherwise another process was first.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** SHA-256 of files and folders: of their names and contents. */
async function hashOf(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths) {
    const isFolder = (await stat(join(ROOT, path))).isDirectory();
    const inside = isFolder ? await readdir(join(ROOT, path), { recursive: true, withFileTypes: true }) : [];
    const found = inside.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
    // What Vite wrote beside the source is no input.
    const files = isFolder ? found.filter((file) => !file.startsWith(join(ROOT, "demo/dist"))) : [join(ROOT, path)];
    for (const file of files.sort()) hash.update(`${file.slice(ROOT.length)}\n`).update(await readFile(file));
  }
  return hash.digest("hex").slice(0, 16);
}

async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(CACHE)) {
    const { mtimeMs } = await stat(join(CACHE, name));
    if (Date.now() - mtimeMs > ABANDONED_AFTER_MS) await rm(join(CACHE, name), { recursive: true, force: true });
  }
}
