import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { InstalledPackage } from "./platform.js";

/** Modules that packages are searched from: Ocellus's own, then a program in the current folder. */
const starts = (): string[] => [import.meta.url, join(process.cwd(), "package.json")];

/**
 * Finds the folder of an installed package, without loading it; undefined if it is not installed. Neither its `exports` nor the place of
 * its entry matters: the folder is the one whose package.json has the name.
 */
export function findPackage(name: string, from: readonly string[] = starts()): InstalledPackage | undefined {
  for (const start of from) {
    const require = createRequire(start);
    for (const folder of require.resolve.paths(name) ?? []) {
      const found = packageAt(join(folder, name), name);
      if (found) return found;
    }
    // Without node_modules (Yarn's Plug'n'Play).
    for (const specifier of [`${name}/package.json`, name]) {
      const found = packageAround(resolved(require, specifier), name);
      if (found) return found;
    }
  }
  return undefined;
}

function resolved(require: NodeJS.Require, specifier: string): string | undefined {
  try {
    return require.resolve(specifier);
  } catch {
    return undefined;
  }
}

function packageAround(file: string | undefined, name: string): InstalledPackage | undefined {
  if (file === undefined) return undefined;
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const found = packageAt(folder, name);
    if (found) return found;
  }
  return undefined;
}

function packageAt(folder: string, name: string): InstalledPackage | undefined {
  try {
    const json = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
      name?: unknown;
      version?: unknown;
    };
    return json.name === name ? { folder, version: String(json.version) } : undefined;
  } catch {
    return undefined;
  }
}
