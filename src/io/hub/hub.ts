/** Checkpoints of the Hugging Face hub: from the shared cache folder, or streamed. */

import { platform } from "#platform";
import { CheckpointError, OptionError, throwIfAborted } from "../../base/errors.js";
import type { FileCache } from "../../platform/platform.js";
import type { DownloadSize, Place } from "../bytes/place.js";
import { readAhead } from "../bytes/read-ahead.js";
import { type ByteSource, fileSource, urlSource } from "../bytes/source.js";
import { HubClient } from "./hub-client.js";
import { bytesToFetch, Downloads } from "./hub-download.js";
import { readListing, writeListing } from "./hub-listing.js";
import { CachePaths, type HubFile, type HubId, hubFolder, isCommit, neededFiles, revisionOf } from "./hub-names.js";
import type { CheckpointOptions } from "./hub-options.js";
import { DownloadMeter } from "./hub-progress.js";

/**
 * Opens a repository. Config files are downloaded here, weights when one is opened; nothing if `inspect` is set.
 * @throws CheckpointError if there is no such repository or revision, no access, a file is not cached (offline), or is wrong;
 * SourceError for a broken network; NoRoomError; OptionError; AbortedError.
 */
export async function hubPlace(id: HubId, options: CheckpointOptions): Promise<Place> {
  const cache = await platform.cache();
  const settings = await cache?.hubSettings();
  const offline = options.offline ?? settings?.offline ?? false;
  const revision = revisionOf(id, options.revision);
  const stream = options.stream ?? cache === undefined;
  refuseContradiction(id.name, offline, stream, options.cacheFolder, cache !== undefined);
  const client = new HubClient(id.name, {
    ...options,
    endpoint: options.endpoint ?? settings?.endpoint,
    token: options.token ?? settings?.token,
  });
  const name = revision === "main" ? id.name : `${id.name}@${revision}`;
  if (stream || !cache || !settings) {
    const commit = isCommit(revision) ? revision : await client.commitOf(revision);
    return new StreamedPlace(name, client, commit, await client.files(commit), options);
  }
  const folder = hubFolder(options.cacheFolder ?? settings.cacheFolder, settings.hubsApart ?? false, client.endpoint);
  const paths = new CachePaths(folder, id.name);
  const kept = isCommit(revision) ? revision : await keptCommit(cache, paths, revision);
  if (offline) {
    if (kept === undefined) throw notCached(name, `${revision} in ${paths.root}`);
    return new CachedPlace(name, cache, paths, kept, await readListing(cache, paths, kept), undefined, options.signal);
  }
  const commit =
    kept !== undefined && (isCommit(revision) || !options.refresh) ? kept : await client.commitOf(revision);
  let files = await readListing(cache, paths, commit);
  if (!files) {
    files = await client.files(commit);
    if (!options.inspect && cache.canDownload) await writeListing(cache, paths, commit, files);
  }
  if (options.inspect || !cache.canDownload) {
    const streamed = new StreamedPlace(name, client, commit, files, options);
    return new CachedPlace(name, cache, paths, commit, files, streamed, options.signal);
  }
  const meter = new DownloadMeter(options.onDownload);
  const downloads = new Downloads(cache, client, paths, commit, meter, options.signal);
  const place = new CachedPlace(name, cache, paths, commit, files, downloads, options.signal);
  meter.expect(await place.missing([...place.needed.configs, ...place.needed.weights]));
  await place.fetch(place.needed.configs);
  // Update the ref last, so that other processes never find a snapshot without its config files.
  if (revision !== commit && kept !== commit) await cache.writeText(paths.ref(revision), commit);
  return place;
}

function refuseContradiction(
  name: string,
  offline: boolean,
  stream: boolean,
  folder: string | undefined,
  kept: boolean,
): void {
  const inBrowser = platform.name === "browser";
  const contradiction =
    (inBrowser && folder !== undefined && "a browser, which has a fixed folder") ||
    (offline && !kept && "a browser without file storage") ||
    (offline && stream && "both, but streaming needs the network");
  if (!contradiction) return;
  throw new OptionError({
    where: `${name}: stream, offline, cacheFolder`,
    expected: "a stream from the network or the cache folder",
    got: contradiction,
    remedy: inBrowser ? "leave it out" : "leave one out (HF_HUB_OFFLINE counts as offline)",
  });
}

/** Returns the cached commit of a branch or tag. */
async function keptCommit(cache: FileCache, paths: CachePaths, revision: string): Promise<string | undefined> {
  const commit = (await cache.readText(paths.ref(revision)))?.trim();
  return commit !== undefined && isCommit(commit) ? commit : undefined;
}

function notCached(name: string, what: string): CheckpointError {
  return new CheckpointError({
    where: `${name}, offline`,
    expected: what,
    got: "nothing in the cache",
    remedy:
      platform.name === "browser"
        ? "load it once online, in a worker"
        : "load it once online (without offline and HF_HUB_OFFLINE), or set the right HF_HUB_CACHE",
  });
}

/** A cached snapshot; missing files are downloaded or streamed from the hub, unless offline. */
class CachedPlace implements Place {
  readonly needed: { configs: HubFile[]; weights: HubFile[] };
  private readonly files: ReadonlyMap<string, HubFile> | undefined;
  private readonly running = new Map<readonly HubFile[], Promise<void>>();

  constructor(
    readonly name: string,
    private readonly cache: FileCache,
    private readonly paths: CachePaths,
    private readonly commit: string,
    files: readonly HubFile[] | undefined,
    private readonly rest: Downloads | StreamedPlace | undefined,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.files = files && new Map(files.map((file) => [file.path, file]));
    this.needed = neededFiles(files ?? []);
  }

  readonly downloads = true;

  async list(folder?: string): Promise<string[]> {
    const path = this.paths.snapshot(this.commit, folder);
    const present = await platform.listFolder(path).catch((): string[] => []);
    return [...new Set([...present, ...namesIn(this.files ?? new Map(), folder)])].sort();
  }

  async has(file: string): Promise<boolean> {
    if (this.files?.has(file)) return true;
    return (await this.cache.sizeOf(this.paths.snapshot(this.commit, file))) !== undefined;
  }

  async open(file: string): Promise<ByteSource | undefined> {
    const path = this.paths.snapshot(this.commit, file);
    const entry = this.files?.get(file);
    const sizeBytes = await this.cache.sizeOf(path);
    if (sizeBytes === undefined && !entry) return undefined;
    if (entry && sizeBytes !== entry.sizeBytes) {
      // Ignoring the missing file would change the checkpoint.
      if (this.rest instanceof StreamedPlace) return this.rest.open(file);
      if (!this.rest) throw notCached(this.name, `${file} with ${entry.sizeBytes} bytes in ${path}`);
      await this.fetch(this.needed.weights.includes(entry) ? this.needed.weights : [entry]);
    }
    throwIfAborted(this.signal, this.name);
    return fileSource(path);
  }

  /** Returns the incomplete files of the snapshot. */
  async missing(files: readonly HubFile[]): Promise<HubFile[]> {
    const sizes = await Promise.all(files.map(({ path }) => this.cache.sizeOf(this.paths.snapshot(this.commit, path))));
    return files.filter(({ sizeBytes }, i) => sizes[i] !== sizeBytes);
  }

  async downloadSize(): Promise<DownloadSize | undefined> {
    if (!this.files) return undefined;
    const files = [...this.needed.configs, ...this.needed.weights];
    const missingBytes = await bytesToFetch(this.cache, this.paths, await this.missing(files));
    return { totalBytes: sizeOf(files), missingBytes };
  }

  /** Downloads missing files; waits for a running download of the same group. */
  async fetch(files: readonly HubFile[]): Promise<void> {
    const { rest } = this;
    if (!(rest instanceof Downloads)) return;
    let run = this.running.get(files);
    if (!run) {
      run = this.missing(files)
        .then((missing) => rest.fetchAll(missing))
        .finally(() => this.running.delete(files));
      this.running.set(files, run);
    }
    await run;
  }
}

/** Streams the files of a commit by range requests. */
class StreamedPlace implements Place {
  private readonly files: ReadonlyMap<string, HubFile>;

  constructor(
    readonly name: string,
    private readonly client: HubClient,
    private readonly commit: string,
    files: readonly HubFile[],
    private readonly options: Pick<CheckpointOptions, "signal" | "inspect">,
  ) {
    this.files = new Map(files.map((file) => [file.path, file]));
  }

  async downloadSize(): Promise<DownloadSize> {
    const { configs, weights } = neededFiles([...this.files.values()]);
    const totalBytes = sizeOf([...configs, ...weights]);
    return { totalBytes, missingBytes: totalBytes };
  }

  async list(folder?: string): Promise<string[]> {
    return namesIn(this.files, folder);
  }

  async has(file: string): Promise<boolean> {
    return this.files.has(file);
  }

  async open(file: string): Promise<ByteSource | undefined> {
    const entry = this.files.get(file);
    if (!entry) return undefined;
    const { client } = this;
    const { signal, inspect } = this.options;
    const url = client.urlOf(this.commit, file);
    const { headers, fetch, retryDelayMilliseconds, idleMilliseconds } = client;
    const source = await urlSource(url, {
      headers,
      fetch,
      retryDelayMilliseconds,
      ...(idleMilliseconds && { idleMilliseconds }),
      ...(signal && { signal }),
    });
    // Read-ahead would fetch weights behind the header.
    if (source.sizeBytes === entry.sizeBytes) return inspect ? source : readAhead(source);
    await source.close();
    throw new CheckpointError({
      where: url,
      expected: `${entry.sizeBytes} bytes, as the repository lists`,
      got: `${source.sizeBytes}`,
      remedy: "load again, and check proxies to the hub",
    });
  }
}

/** Lists files and folders at the top level of a repository or in a folder. */
function namesIn(files: ReadonlyMap<string, HubFile>, folder: string | undefined): string[] {
  const prefix = folder === undefined ? "" : `${folder}/`;
  const names = [...files.keys()].filter((path) => path.startsWith(prefix));
  return [...new Set(names.map((path) => path.slice(prefix.length).split("/")[0]!))];
}

function sizeOf(files: readonly HubFile[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
