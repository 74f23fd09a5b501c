/** Files of the hub into the cache folder: a few at a time, going on after a break, checked for size and hash. */

import type { FileCache, Hasher, PartialFile } from "../platform/platform.js";
import { CheckpointError, NoRoomError, SourceError, throwIfAborted } from "../runtime/errors.js";
import { BrokenTransfer, chunksOf, mayPass, parseContentRange, retrying } from "./http-transfer.js";
import type { HubClient } from "./hub-client.js";
import { type CachePaths, gitHeader, type HubFile, hashOf } from "./hub-names.js";
import type { DownloadMeter } from "./hub-progress.js";

/** Files on their way at the same time. */
const AT_ONCE = 4;
/** Failures in a row, with no byte received between them, before a download is given up: half a minute of waiting. */
const ATTEMPTS = 7;
/** Bytes read at once from what an earlier run left, to hash them. */
const READ_BYTES = 1 << 20;

/** Bytes of the files that are neither in the cache folder under another name nor left there by an earlier run. */
export async function bytesToFetch(cache: FileCache, paths: CachePaths, files: readonly HubFile[]): Promise<number> {
  let bytes = 0;
  for (const { hash, sizeBytes } of files) {
    if ((await cache.sizeOf(paths.blob(hash))) === sizeBytes) continue;
    bytes += Math.max(0, sizeBytes - ((await cache.sizeOf(paths.incomplete(hash))) ?? 0));
  }
  return bytes;
}

/** Brings files of one commit into the cache folder. */
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
   * Downloads what is not there yet. After a failure or an abort what has arrived stays, and the next call goes on from there.
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
      // Another process is at it: its progress is ours.
      if (Date.now() - lastLook < 500) return;
      lastLook = Date.now();
      cache.sizeOf(incomplete).then(
        (size) => this.meter.at(file, size ?? 0, 0),
        () => undefined,
      );
    });
    try {
      if ((await cache.sizeOf(blob)) !== file.sizeBytes) {
        // Bytes of an earlier run that hash wrongly are worth one attempt without them.
        if (!(await this.transfer(file, signal))) await this.transfer(file, signal);
        await cache.rename(incomplete, blob);
      }
      await cache.link(blob, paths.snapshot(this.commit, file.path));
    } finally {
      await release();
    }
    this.meter.done(file);
  }

  /** Fills the incomplete file. False if it had to be thrown away because what an earlier run left in it was wrong. */
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
      remedy: "what came was removed; load again, and check proxies between here and the hub if it comes wrong again",
    });
  }
}

/** One file's bytes from the network to the end of a partial file, hashed as they pass. */
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

  /** Takes over what an earlier run left. */
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

  /** Asks for what is missing. Returns when all is there; throws BrokenTransfer where another attempt may bring more. */
  private async attempt(url: string, signal: AbortSignal, progressed: () => void): Promise<void> {
    const { file } = this;
    if (this.received === file.sizeBytes) return;
    // A compressed answer has ranges and a length of its own.
    const headers: Record<string, string> = { ...this.client.headers, "Accept-Encoding": "identity" };
    if (this.received > 0) headers.Range = `bytes=${this.received}-`;
    const response = await this.client.fetch(url, { headers, signal });
    await this.checkAnswer(url, response);
    for await (const chunk of chunksOf(response)) {
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

  /** Sees to it that the body begins at the byte wanted and comes from a file of the size listed. */
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
      // The whole file, though only its rest was asked for: this server has no ranges.
      if (this.received > 0) await this.restart();
      return;
    }
    await response.body?.cancel();
    if (status === 200) throw this.wrongSize(url, `${length} bytes`);
    if (mayPass(status)) throw new BrokenTransfer(`status ${status}`);
    if (status === 206 || status === 416) {
      if (range?.total !== undefined && range.total !== this.file.sizeBytes)
        throw this.wrongSize(url, `${range.total} bytes`);
      // A server that answers ranges wrongly may still serve the whole.
      const wanted = this.received;
      await this.restart();
      throw new BrokenTransfer(`another range than the one from byte ${wanted}`);
    }
    const remedy = "check the network, and proxies between here and the hub";
    throw new SourceError({ where: url, expected: "status 200 or 206", got: `status ${status}`, remedy });
  }

  private wrongSize(url: string, got: string): CheckpointError {
    return new CheckpointError({
      where: url,
      expected: `${this.file.sizeBytes} bytes, as the repository lists`,
      got,
      remedy: "load again, and check proxies between here and the hub",
    });
  }
}
