/** Lists and deletes cached hub checkpoints. */

import { platform } from "#platform";
import { CheckpointError } from "../../base/errors.js";
import { checkOptions } from "../../base/options.js";
import type { FileCache } from "../../platform/platform.js";
import { readListing } from "./hub-listing.js";
import { CachePaths, hubFolder, isCommit, neededFiles, PUBLIC_HUB } from "./hub-names.js";

/** A repository with cached files. */
export interface CachedCheckpoint {
  /** `org/name` */
  readonly name: string;
  /** URL of its hub; in Node, where all hubs share one folder, always the public one. */
  readonly endpoint: string;
  /** Commits with cached files. */
  readonly commits: readonly string[];
  /** Cached bytes, and total bytes, of the files that a model needs, at the latest known commit. */
  readonly cachedBytes: number;
  readonly totalBytes: number;
  /** Whether it loads offline. */
  readonly complete: boolean;
}

/** Lists the cached repositories: in the cache folder (Node), or in this origin's storage (browsers). Throws SourceError. */
export async function cachedCheckpoints(): Promise<CachedCheckpoint[]> {
  const cache = await platform.cache();
  if (!cache) return [];
  const { cacheFolder, hubsApart = false } = await cache.hubSettings();
  const found: CachedCheckpoint[] = [];
  const visit = async (folder: string, endpoint: string): Promise<void> => {
    for (const name of await cache.folders(folder)) {
      const repository = /^models--(.+?)--(.+)$/.exec(name);
      if (repository) {
        const paths = new CachePaths(folder, `${repository[1]}/${repository[2]}`);
        found.push({ name: paths.name, endpoint, ...(await stateOf(cache, paths)) });
      } else if (hubsApart && folder === cacheFolder && name.startsWith("http")) {
        await visit(`${folder}/${name}`, decodeURIComponent(name));
      }
    }
  };
  await visit(cacheFolder, PUBLIC_HUB);
  return found;
}

/**
 * Deletes all cached files of a repository, including interrupted downloads. Waits for a running download.
 * @throws CheckpointError if nothing is cached; SourceError; AbortedError.
 */
export async function deleteCheckpoint(
  name: string,
  options: { endpoint?: string; signal?: AbortSignal } = {},
): Promise<void> {
  checkOptions("deleteCheckpoint", options, ["endpoint", "signal"]);
  const endpoint = (options.endpoint ?? PUBLIC_HUB).replace(/\/+$/, "");
  const cache = await platform.cache();
  const settings = await cache?.hubSettings();
  if (cache && settings) {
    const folder = hubFolder(settings.cacheFolder, settings.hubsApart ?? false, endpoint);
    const paths = new CachePaths(folder, name);
    if ((await cache.folders(folder)).includes(paths.folderName)) return deleteFiles(cache, paths, options.signal);
  }
  const got = (await cachedCheckpoints()).map(({ name: cached }) => cached).join(", ");
  throw new CheckpointError({
    where: name,
    expected: "a cached repository",
    got: got === "" ? "an empty cache" : got,
    remedy: "list the cached repositories with cachedCheckpoints()",
  });
}

async function deleteFiles(cache: FileCache, paths: CachePaths, signal: AbortSignal | undefined): Promise<void> {
  const releases: (() => Promise<void>)[] = [];
  const blobs = await platform.listFolder(`${paths.root}/blobs`).catch((): string[] => []);
  try {
    for (const blob of blobs.filter((file) => file.endsWith(INCOMPLETE))) {
      releases.push(await cache.lock(paths.lock(blob.slice(0, -INCOMPLETE.length)), signal));
    }
    await cache.removeFolder(paths.root);
  } finally {
    for (const release of releases) await release();
  }
}

const INCOMPLETE = ".incomplete";

type State = Pick<CachedCheckpoint, "commits" | "cachedBytes" | "totalBytes" | "complete">;

async function stateOf(cache: FileCache, paths: CachePaths): Promise<State> {
  const commits = await cache.folders(`${paths.root}/snapshots`);
  const main = (await cache.readText(paths.ref("main")))?.trim();
  // An interrupted download has a listing before it has a snapshot.
  const listed = (await platform.listFolder(`${paths.root}/trees`).catch((): string[] => []))
    .map((file) => file.replace(/\.json$/, ""))
    .filter(isCommit);
  const commit = main ?? commits.at(-1) ?? listed.at(-1);
  const listing = commit === undefined ? undefined : await readListing(cache, paths, commit);
  const { configs, weights } = neededFiles(listing ?? []);
  if (commit !== undefined && !listing) return stateOfSnapshot(cache, paths, commit, commits);
  let cachedBytes = 0;
  for (const { hash, sizeBytes } of [...configs, ...weights]) {
    const bytes = (await cache.sizeOf(paths.blob(hash))) ?? (await cache.sizeOf(paths.incomplete(hash))) ?? 0;
    cachedBytes += Math.min(bytes, sizeBytes);
  }
  const totalBytes = [...configs, ...weights].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { commits, cachedBytes, totalBytes, complete: totalBytes > 0 && cachedBytes === totalBytes };
}

/** Caches of other tools have no listing: the snapshot counts as complete if it has weights and a config. */
async function stateOfSnapshot(
  cache: FileCache,
  paths: CachePaths,
  commit: string,
  commits: readonly string[],
): Promise<State> {
  const names = await platform.listFolder(paths.snapshot(commit)).catch((): string[] => []);
  const sizes = await Promise.all(names.map((name) => cache.sizeOf(paths.snapshot(commit, name))));
  const bytes = sizes.reduce((sum: number, size) => sum + (size ?? 0), 0);
  const complete = names.includes("config.json") && names.some((name) => name.endsWith(".safetensors"));
  return { commits, cachedBytes: bytes, totalBytes: bytes, complete };
}
