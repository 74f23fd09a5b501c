/** Downloads hub files to the cache: concurrent, resumable, with verification of size and hash. */

import { CheckpointError, NoRoomError, SourceError, throwIfAborted } from "../../base/errors.js";
import type { FileCache, Hasher, PartialFile } from "../../platform/platform.js";
import { BrokenTransfer, chunksOf, fetchInTime, mayPass, parseContentRange, retrying } from "../bytes/http-transfer.js";
import type { HubClient } from "./hub-client.js";
import { type CachePaths, gitHeader, type HubFile, hashOf } from "./hub-names.js";
import type { DownloadMeter } from "./hub-progress.js";

/** Concurrent downloads. */
const AT_ONCE = 4;
/** Maximum consecutive failures without a received byte: half a minute of retries. */
const ATTEMPTS = 7;
/** Chunk size for hashing a partial file. */
const READ_BYTES = 1 << 20;

/** Returns the bytes that remain to be downloaded, without cached blobs and partial files. */
export async function bytesToFetch(cache: FileCache, paths: CachePaths, files: readonly HubFile[]): Promise<number> {
  let bytes = 0;
  for (const { hash, sizeBytes } of files) {
    if ((await cache.sizeOf(paths.blob(hash))) === sizeBytes) continue;
    bytes += Math.max(0, sizeBytes - ((await cache.sizeOf(paths.incomplete(hash))) ?? 0));
  }
  return bytes;
}

/** Downloads files of one commit to the cache. */
export class Downloads {
  constructor(
    private readonly cache: FileCache,
    private readonly client: HubClient,
    private readonly paths: CachePaths,
    private readonly commit: string,
    private readonly meter: DownloadMeter,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /**
   * Downloads missing files. Interrupted downloads resume within the file at the next call, after a failure or an abort.
   * @throws CheckpointError for wrong size or hash, or no access; SourceError for a broken network; NoRoomError; AbortedError.
   */
  async fetchAll(files: readonly HubFile[]): Promise<void> {
    await this.checkSpace(files);
    const stop = new AbortController();
    const signal = this.signal ? AbortSignal.any([this.signal, stop.signal]) : stop.signal;
    const waiting = [...files];
    let failure: { cause: unknown } | undefined;
    const worker = async (): Promise<void> => {
      for (let file = waiting.shift(); file && !failure; file = waiting.shift()) {
        try {
          await this.fetchOne(file, signal);
        } catch (cause) {
          failure ??= { cause };
          stop.abort();
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.length) }, worker));
    throwIfAborted(this.signal, this.client.where);
    if (failure) throw failure.cause;
  }

  private async checkSpace(files: readonly HubFile[]): Promise<void> {
    const needed = await bytesToFetch(this.cache, this.paths, files);
    const free = await this.cache.freeBytes(this.paths.root);
    if (free === undefined || needed <= free) return;
    throw new NoRoomError(
      {
        where: this.paths.cacheFolder,
        expected: `${needed} bytes free for ${this.client.name}`,
        got: `${free}`,
        remedy: this.cache.moreRoom,
      },
      needed,
      free,
    );
  }

  private async fetchOne(file: HubFile, signal: AbortSignal): Promise<void> {
    const { cache, paths } = this;
    const blob = paths.blob(file.hash);
    const incomplete = paths.incomplete(file.hash);
    let lastLook = 0;
    const release = await cache.lock(paths.lock(file.hash), signal, () => {
      // Another process downloads it: report its progress.
      if (Date.now() - lastLook < 500) return;
      lastLook = Date.now();
      cache.sizeOf(incomplete).then(
        (size) => this.meter.at(file, size ?? 0, 0),
        () => undefined,
      );
    });
    try {
      if ((await cache.sizeOf(blob)) !== file.sizeBytes) {
        // A partial file with a wrong hash is discarded, and downloaded once more.
        if (!(await this.transfer(file, signal))) await this.transfer(file, signal);
        await cache.rename(incomplete, blob);
      }
      await cache.link(blob, paths.snapshot(this.commit, file.path));
    } finally {
      await release();
    }
    this.meter.done(file);
  }

  /** Completes the partial file. Returns false if it was discarded because of wrong bytes from an earlier run. */
  private async transfer(file: HubFile, signal: AbortSignal): Promise<boolean> {
    const path = this.paths.incomplete(file.hash);
    const partial = await this.cache.openPartial(path);
    let outcome: { hash: string; sizeBytes: number; resumedBytes: number };
    try {
      outcome = await new Transfer(file, partial, this.client, this.cache, this.meter).run(this.commit, signal);
    } finally {
      await partial.close();
    }
    if (outcome.hash === file.hash && outcome.sizeBytes === file.sizeBytes) return true;
    await this.cache.remove(path);
    if (outcome.resumedBytes > 0) return false;
    throw new CheckpointError({
      where: `${this.client.where}: ${file.path}`,
      expected: `${file.sizeBytes} bytes with the hash ${file.hash}`,
      got: `${outcome.sizeBytes} with ${outcome.hash}`,
      remedy: "the corrupt file was removed; load again, and check proxies to the hub if the error persists",
    });
  }
}

/** Appends one file's bytes from the network to a partial file, with incremental hashing. */
class Transfer {
  private hasher: Hasher;
  private received = 0;
  private resumedBytes = 0;

  constructor(
    private readonly file: HubFile,
    private readonly partial: PartialFile,
    private readonly client: HubClient,
    private readonly cache: FileCache,
    private readonly meter: DownloadMeter,
  ) {
    this.hasher = this.newHasher();
  }

  async run(commit: string, signal: AbortSignal): Promise<{ hash: string; sizeBytes: number; resumedBytes: number }> {
    const url = this.client.urlOf(commit, this.file.path);
    await this.resume(signal, url);
    const delay = this.client.retryDelayMilliseconds;
    await retrying(url, delay, signal, (progressed) => this.attempt(url, signal, progressed), ATTEMPTS);
    const sizeBytes = await this.partial.flush();
    return { hash: this.hasher.digest(), sizeBytes, resumedBytes: this.resumedBytes };
  }

  private newHasher(): Hasher {
    if (hashOf(this.file.hash) === "sha256") return this.cache.hasher("sha256");
    const hasher = this.cache.hasher("sha1");
    hasher.update(gitHeader(this.file.sizeBytes));
    return hasher;
  }

  private async restart(): Promise<void> {
    await this.partial.truncate(0);
    this.hasher = this.newHasher();
    this.received = 0;
    this.resumedBytes = 0;
  }

  /** Resumes from the partial file of an earlier run. */
  private async resume(signal: AbortSignal, url: string): Promise<void> {
    const { sizeBytes } = this.partial;
    if (sizeBytes > this.file.sizeBytes) return this.restart();
    while (this.received < sizeBytes) {
      throwIfAborted(signal, url);
      const bytes = await this.partial.read(this.received, Math.min(READ_BYTES, sizeBytes - this.received));
      if (bytes.length === 0) return this.restart();
      this.hasher.update(bytes);
      this.received += bytes.length;
    }
    this.resumedBytes = this.received;
    this.meter.at(this.file, this.received, 0);
  }

  /** Requests the missing bytes. Returns when complete; throws BrokenTransfer for transient errors. */
  private async attempt(url: string, signal: AbortSignal, progressed: () => void): Promise<void> {
    const { file } = this;
    if (this.received === file.sizeBytes) return;
    // Range and length of a compressed response refer to the compressed bytes.
    const headers: Record<string, string> = { ...this.client.headers, "Accept-Encoding": "identity" };
    if (this.received > 0) headers.Range = `bytes=${this.received}-`;
    const { idleMilliseconds } = this.client;
    const response = await fetchInTime(this.client.fetch, url, { headers, signal }, idleMilliseconds);
    await this.checkAnswer(url, response);
    for await (const chunk of chunksOf(response, idleMilliseconds)) {
      if (this.received + chunk.length > file.sizeBytes) throw this.wrongSize(url, "more bytes than that");
      await this.partial.write(chunk, this.received);
      this.hasher.update(chunk);
      this.received += chunk.length;
      progressed();
      this.meter.at(file, this.received, chunk.length);
    }
    if (this.received < file.sizeBytes) {
      throw new BrokenTransfer(`${this.received} of ${file.sizeBytes} bytes`);
    }
  }

  /** Checks that the body begins at the requested byte of a file of the listed size. */
  private async checkAnswer(url: string, response: Response): Promise<void> {
    const { status } = response;
    const range = parseContentRange(response.headers.get("content-range"));
    const encoded = response.headers.get("content-encoding") !== null;
    const length = response.headers.get("content-length");
    if (
      status === 206 &&
      range?.start === this.received &&
      (range.total ?? this.file.sizeBytes) === this.file.sizeBytes
    )
      return;
    if (status === 200 && (length === null || encoded || Number(length) === this.file.sizeBytes)) {
      // Status 200: the server does not support ranges and sends the whole file.
      if (this.received > 0) await this.restart();
      return;
    }
    await response.body?.cancel();
    if (status === 200) throw this.wrongSize(url, `${length} bytes`);
    if (mayPass(status)) throw new BrokenTransfer(`status ${status}`);
    if (status === 206 || status === 416) {
      if (range?.total !== undefined && range.total !== this.file.sizeBytes)
        throw this.wrongSize(url, `${range.total} bytes`);
      // A server that handles ranges incorrectly may still serve the whole file.
      const wanted = this.received;
      await this.restart();
      throw new BrokenTransfer(`another range than the one from byte ${wanted}`);
    }
    const remedy = "check the network, and proxies to the hub";
    throw new SourceError({ where: url, expected: "status 200 or 206", got: `status ${status}`, remedy });
  }

  private wrongSize(url: string, got: string): CheckpointError {
    return new CheckpointError({
      where: url,
      expected: `${this.file.sizeBytes} bytes, as the repository lists`,
      got,
      remedy: "load again, and check proxies to the hub",
    });
  }
}
