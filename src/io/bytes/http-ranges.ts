/** Reads a URL by HTTP range requests (RFC 9110, section 14). */

import { SourceError } from "../../base/errors.js";
import type { Fetch } from "../../base/web-types.js";
import { concatBytes } from "./bytes.js";
import { BrokenTransfer, chunksOf, fetchInTime, mayPass, parseContentRange, retrying } from "./http-transfer.js";

/** Thrown for a file that does not exist; callers catch it if the file is optional. */
export class NotFoundError extends SourceError {
  /** Whether the server responded with a web page. */
  isPage = false;
}

export interface UrlOptions {
  headers?: Readonly<Record<string, string>>;
  signal?: AbortSignal | undefined;
  /** Replaces the global `fetch`. */
  fetch?: Fetch;
  /** Maximum size of a file that is downloaded whole and cached in memory, if the server does not support ranges. */
  wholeLimitBytes?: number;
  /** Wait before the first retry; it doubles each time. */
  retryDelayMilliseconds?: number;
  /** Time without a response or a byte after which a request is repeated; 30 seconds if not given. */
  idleMilliseconds?: number;
}

const WHOLE_LIMIT_BYTES = 64 * 1024 * 1024;
/** Length of the first range request, which also returns the file size; config files and most headers need no second request. */
const HEAD_BYTES = 64 * 1024;

/** Range requests of one URL: retries and validation of responses. */
export class HttpRanges {
  private etag: string | null = null;
  private readonly fetch: Fetch;
  private readonly retryDelay: number;

  constructor(
    readonly url: string,
    private readonly options: UrlOptions,
  ) {
    this.fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.retryDelay = options.retryDelayMilliseconds ?? 250;
  }

  /** Reads the size and the first bytes; all of them if the server does not support ranges. */
  async open(signal?: AbortSignal): Promise<{ sizeBytes: number; head: Uint8Array }> {
    return retrying(this.url, this.retryDelay, signal, async () => {
      const response = await this.request(0, HEAD_BYTES, signal);
      const range = parseContentRange(response.headers.get("content-range"));
      if (response.status === 416 && range?.total === 0) return { sizeBytes: 0, head: new Uint8Array() };
      if (response.ok) this.refuseWebPage(response);
      if (response.status === 200) {
        const limit = this.options.wholeLimitBytes ?? WHOLE_LIMIT_BYTES;
        const head = await this.whole(response, limit);
        return { sizeBytes: head.length, head };
      }
      if (response.status !== 206) throw await this.refused(response);
      this.etag = strongTag(response);
      // Cross-origin responses hide Content-Range unless the server exposes it; Content-Length is visible.
      const sizeBytes = range?.total ?? (await this.sizeByHeadRequest(response, signal));
      if (range !== undefined && range.start !== 0) throw await this.refused(response);
      const chunks: Uint8Array[] = [];
      await this.body(response, Math.min(HEAD_BYTES, sizeBytes), (chunk) => chunks.push(chunk));
      return { sizeBytes, head: concatBytes(chunks) };
    });
  }

  async range(offset: number, length: number, sizeBytes: number, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let received = 0;
    await retrying(this.url, this.retryDelay, signal, async (progressed) => {
      if (received === length) return;
      const response = await this.request(offset + received, length - received, signal);
      if (response.status !== 206) throw await this.refused(response);
      const range = parseContentRange(response.headers.get("content-range"));
      const tag = strongTag(response);
      const moved = range !== undefined && range.start !== offset + received;
      const changed = range?.total !== undefined && range.total !== sizeBytes;
      if (moved || changed || (tag !== null && this.etag !== null && tag !== this.etag)) {
        await response.body?.cancel();
        const got = moved ? `byte ${range.start}` : "another version of the file";
        const remedy = "open the file again; it changed while it was read, or a proxy responds wrongly";
        throw new SourceError({
          where: this.url,
          expected: `byte ${offset + received} of the file opened`,
          got,
          remedy,
        });
      }
      await this.body(response, length - received, (chunk) => {
        bytes.set(chunk, received);
        received += chunk.length;
        progressed();
      });
    });
    return bytes;
  }

  private async request(offset: number, length: number, signal?: AbortSignal): Promise<Response> {
    const headers = { ...this.options.headers, Range: `bytes=${offset}-${offset + length - 1}` };
    return this.send({ headers, ...(signal ? { signal } : {}) });
  }

  private send(init: Parameters<typeof fetchInTime>[2]): Promise<Response> {
    return fetchInTime(this.fetch, this.url, init, this.options.idleMilliseconds);
  }

  /** Yields the body's chunks, which must sum to exactly `length` bytes. */
  private async body(response: Response, length: number, onChunk: (chunk: Uint8Array) => void): Promise<void> {
    let received = 0;
    for await (const chunk of chunksOf(response, this.options.idleMilliseconds)) {
      if (received + chunk.length > length) {
        const got = "more bytes than requested";
        const remedy = "the server handles ranges incorrectly; use another server";
        throw new SourceError({ where: this.url, expected: `${length} bytes`, got, remedy });
      }
      received += chunk.length;
      onChunk(chunk);
    }
    if (received < length) throw new BrokenTransfer(`${received} of ${length} bytes`);
  }

  private async whole(response: Response, limitBytes: number): Promise<Uint8Array> {
    const stated = response.headers.get("content-length");
    // Content-Length of a compressed response is the compressed length.
    const length = stated === null || response.headers.get("content-encoding") !== null ? undefined : Number(stated);
    const chunks: Uint8Array[] = [];
    let received = 0;
    if ((length ?? 0) <= limitBytes) {
      for await (const chunk of chunksOf(response, this.options.idleMilliseconds)) {
        chunks.push(chunk);
        received += chunk.length;
        if (received > limitBytes) break;
      }
    }
    if ((length ?? received) > limitBytes || received > limitBytes) {
      if (received === 0) await response.body?.cancel();
      const got = `the whole file, ${length ?? `over ${limitBytes}`} bytes`;
      const remedy = "use a server that supports range requests (status 206), or a local copy";
      throw new SourceError({ where: this.url, expected: `ranges, or a file up to ${limitBytes} bytes`, got, remedy });
    }
    if (length !== undefined && received !== length) throw new BrokenTransfer(`${received} of ${length} bytes`);
    return concatBytes(chunks);
  }

  private async sizeByHeadRequest(response: Response, signal?: AbortSignal): Promise<number> {
    const headers = { ...this.options.headers };
    const answer = await this.send({ method: "HEAD", headers, ...(signal ? { signal } : {}) });
    const length = answer.headers.get("content-length");
    if (answer.ok && length !== null && /^\d+$/.test(length)) return Number(length);
    await response.body?.cancel();
    const remedy = "let the server send Content-Range and expose it (Access-Control-Expose-Headers)";
    throw new SourceError({ where: this.url, expected: "the size of the file", got: "no Content-Range", remedy });
  }

  /** Returns the error for an unexpected status; BrokenTransfer if a retry may help. */
  private async refused(response: Response): Promise<Error> {
    await response.body?.cancel();
    const got = `status ${response.status}`;
    if (mayPass(response.status)) return new BrokenTransfer(got);
    const fault = { where: this.url, expected: "status 206", got };
    if (response.status === 404 || response.status === 410) {
      return new NotFoundError({ ...fault, remedy: "check the address" });
    }
    const denied = response.status === 401 || response.status === 403;
    const remedy = denied ? "give an authorization header, or check the address" : "check the address and the server";
    return new SourceError({ ...fault, remedy });
  }

  /** Development servers and some hosts respond to missing files with their start page and status 200. */
  private refuseWebPage(response: Response): void {
    if (!/^text\/html\b/i.test(response.headers.get("content-type") ?? "")) return;
    void response.body?.cancel();
    const remedy = "check the address; it is a page, not the file";
    const error = new NotFoundError({ where: this.url, expected: "a file", got: "a web page (text/html)", remedy });
    error.isPage = true;
    throw error;
  }
}

/** Weak ETags may differ between servers of one host for the same bytes, so they are ignored. */
function strongTag(response: Response): string | null {
  const tag = response.headers.get("etag");
  return tag?.startsWith("W/") ? null : tag;
}
