import { createRequire } from "node:module";

/** Returns the version in a package.json, by its path or package; undefined if there is none. */
export function versionOf(path: string): string | undefined {
  try {
    return (createRequire(import.meta.url)(path) as { version?: string }).version;
  } catch {
    return undefined;
  }
}
