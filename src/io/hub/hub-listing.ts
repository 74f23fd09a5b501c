/** Cached file listing of a commit, in the format of huggingface_hub 2: `trees/<commit>.json`. */

import { OcellusError } from "../../base/errors.js";
import type { FileCache } from "../../platform/platform.js";
import { isJsonObject, parseJson } from "../text/json.js";
import { type CachePaths, type HubFile, hubFile } from "./hub-names.js";

const FORMAT_VERSION = 1;

/** Reads the cached listing of a commit; undefined if missing or invalid, since it can be requested again. */
export async function readListing(
  cache: FileCache,
  paths: CachePaths,
  commit: string,
): Promise<readonly HubFile[] | undefined> {
  const path = paths.tree(commit);
  try {
    const text = await cache.readText(path);
    const json = text === undefined ? undefined : parseJson(text, path);
    if (!isJsonObject(json) || json.format_version !== FORMAT_VERSION || !isJsonObject(json.files)) return undefined;
    return Object.entries(json.files).map(([name, entry]) => {
      const { size, blob_id, lfs_sha256, xet_hash } = isJsonObject(entry) ? entry : {};
      return hubFile(path, name, size, blob_id, lfs_sha256, xet_hash);
    });
  } catch (cause) {
    if (cause instanceof OcellusError) return undefined;
    throw cause;
  }
}

/** Caches a listing. Write errors are ignored: the listing is requested again next time. */
export async function writeListing(
  cache: FileCache,
  paths: CachePaths,
  commit: string,
  files: readonly HubFile[],
): Promise<void> {
  const entries = [...files]
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map((file) => [
      file.path,
      {
        size: file.sizeBytes,
        blob_id: file.gitHash,
        ...(file.hash !== file.gitHash && { lfs_sha256: file.hash, lfs_size: file.sizeBytes }),
        ...(file.xetHash !== undefined && { xet_hash: file.xetHash }),
      },
    ]);
  const json = { format_version: FORMAT_VERSION, files: Object.fromEntries(entries) };
  await cache.writeText(paths.tree(commit), JSON.stringify(json, undefined, 1)).catch(() => undefined);
}
