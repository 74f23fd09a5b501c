/** Checkpoints of hubs that are kept on this machine: which there are, and how to be rid of one. */

import { platform } from "#platform";
import type { FileCache } from "../platform/platform.js";
import { CheckpointError } from "../runtime/errors.js";
import { checkOptions } from "../runtime/options.js";
import { readListing } from "./hub-listing.js";
import { CachePaths, hubFolder, isCommit, neededFiles, PUBLIC_HUB } from "./hub-names.js";

/** A repository of which files are kept. */
export interface CachedCheckpoint {
  /** `org/name` */
  readonly name: string;
  /** The hub that it came from; in Node, where one folder serves all hubs, always the public one. */
  readonly endpoint: string;
  /** Commits of which there are files. */
  readonly commits: readonly string[];
  /** Bytes of the files that a model needs, of the newest commit that was looked up; those that are here, and all. */
  readonly cachedBytes: number;
  readonly totalBytes: number;
  /** Whether it loads without a network. */
  readonly complete: boolean;
}

/** The repositories that are kept: in the cache folder (Node), or in this origin's storage (the browser). Throws SourceError. */
export async function cachedCheckpoints(): Promise<CachedCheckpoint[]> {
  const cache = await platform.cache();
  if (!cache) return [];
  const { cacheFolder, hubsApart = false } = await cache.hubSettings();
  const kept: CachedCheckpoint[] = [];
  const visit = async (folder: string, endpoint: string): Promise<void> => {
    for (const name of await cache.folders(folder)) {
      const repository = /^models--(.+?)--(.+)$/.exec(name);
      if (repository) {
        const paths = new CachePaths(folder, `${repository[1]}/${repository[2]}`);
        kept.push({ name: paths.name, endpoint, ...(await stateOf(cache, paths)) });
      } else if (hubsApart && folder === cacheFolder && name.startsWith("http")) {
        await visit(`${folder}/${name}`, decodeURIComponent(name));
      }
    }
  };
  await visit(cacheFolder, PUBLIC_HUB);
  return kept;
}

/**
 * Deletes everything that is kept of a repository, downloads that were broken off included. One that is under way is waited for.
 * @throws CheckpointError if nothing is kept of it; SourceError; AbortedError.
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
    if ((await cache.folders(folder)).includes(paths.folderName)) return forget(cache, paths, options.signal);
  }
  const got = (await cachedCheckpoints()).map((kept) => kept.name).join(", ");
  throw new CheckpointError({
    where: name,
    expected: "a repository that is kept",
    got: got === "" ? "none that is" : got,
    remedy: "see cachedCheckpoints()",
  });
}

async function forget(cache: FileCache, paths: CachePaths, signal: AbortSignal | undefined): Promise<void> {
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
  // A download that was broken off has a listing before it has a snapshot.
  const listed = (await platform.listFolder(`${paths.root}/trees`).catch((): string[] => []))
    .map((file) => file.replace(/\.json$/, ""))
    .filter(isCommit);
  const commit = main ?? commits.at(-1) ?? listed.at(-1);
  const listing = commit === undefined ? undefined : await readListing(cache, paths, commit);
  const { configs, weights } = neededFiles(listing ?? []);
  if (commit !== undefined && !listing) return stateOfSnapshot(cache, paths, commit, commits);
  let cachedBytes = 0;
  for (const { hash, sizeBytes } of [...configs, ...weights]) {
    const kept = (await cache.sizeOf(paths.blob(hash))) ?? (await cache.sizeOf(paths.incomplete(hash))) ?? 0;
    cachedBytes += Math.min(kept, sizeBytes);
  }
  const totalBytes = [...configs, ...weights].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { commits, cachedBytes, totalBytes, complete: totalBytes > 0 && cachedBytes === totalBytes };
}

/** Other tools keep no listing: what is there is taken for all, if there are weights and a config among it. */
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
