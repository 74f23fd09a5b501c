/** Byte ranges of a file, URL, Blob or array behind one interface. Offsets and lengths are in bytes. */

import { platform } from "#platform";
import { OcellusError, SourceError, throwIfAborted } from "../../base/errors.js";
import { type Bytes, copyOf, viewOf } from "./bytes.js";
import { HttpRanges, type UrlOptions } from "./http-ranges.js";
import { truncated } from "./http-transfer.js";

export { NotFoundError, type UrlOptions } from "./http-ranges.js";

/** Random access to bytes of known size. */
export interface ByteSource {
  /** Path, URL or file name, for error messages. */
  readonly name: string;
  readonly sizeBytes: number;
  /**
   * Reads exactly `lengthBytes` from `offsetBytes`. The caller owns the result, whose offset in its buffer is a multiple of 8, as typed
   * arrays require. `into`, at the start of its buffer, may be used as memory of the result.
   * @throws SourceError for a range outside the file, after close, and if reading fails; AbortedError.
   */
  read(offsetBytes: number, lengthBytes: number, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array>;
  /** Closes the file; reads fail afterwards. */
  close(): Promise<void>;
}

/** Opens a source; the caller closes it. */
export type OpenSource = () => ByteSource | Promise<ByteSource>;

/**
 * Opens a local file (Node only).
 * @throws SourceError if it cannot be opened.
 */
export async function fileSource(path: string): Promise<ByteSource> {
  const handle = await platform.openFile(path);
  return new RangeSource(
    path,
    handle.sizeBytes,
    (offset, length, _signal, into) => handle.read(offset, length, into),
    () => handle.close(),
  );
}

/** Wraps a Blob or File of a browser or Node; its bytes are read on demand. */
export function blobSource(blob: Blob, name: string): ByteSource {
  return new RangeSource(name, blob.size, async (offset, length) => {
    return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
  });
}

/** Wraps bytes in memory; reads copy. Throws MediaError for a detached buffer. */
export function bytesSource(bytes: Bytes, name: string): ByteSource {
  const view = viewOf(bytes, name);
  return new RangeSource(name, view.length, async (offset, length) =>
    copyOf(view.subarray(offset, offset + length), name),
  );
}

/**
 * Wraps a source implemented by the caller: results of its `read` are copied, since they may be views of memory that is reused. The
 * caller closes it.
 */
export function givenSource(source: ByteSource): ByteSource {
  const { name, sizeBytes } = source;
  return new RangeSource(name, sizeBytes, async (offset, length, signal) =>
    copyOf(await source.read(offset, length, signal), name),
  );
}

/**
 * Opens a URL for HTTP range requests (RFC 9110, section 14). If the server does not support ranges, the whole file is requested once,
 * and cached in memory if it is small. Interrupted transfers resume after the last received byte.
 * @throws NotFoundError for status 404 and 410, and for a web page instead of the file; SourceError; AbortedError.
 */
export async function urlSource(url: string | URL, options: UrlOptions = {}): Promise<ByteSource> {
  const client = new HttpRanges(String(url), options);
  const { sizeBytes, head } = await client.open(options.signal);
  return new RangeSource(client.url, sizeBytes, async (offset, length, signal) => {
    if (offset + length <= head.length) return head.slice(offset, offset + length);
    return client.range(offset, length, sizeBytes, signal);
  });
}

/**
 * Opens a picture or clip that is named by a path or URL. `label`: its name in the errors for a text that is neither, but holds the bytes
 * themselves. Throws SourceError, MediaError.
 */
export async function mediumSource(text: string, label: string, signal?: AbortSignal): Promise<ByteSource> {
  if (/^(https?|blob):/i.test(text)) return urlSource(text, { ...(signal && { signal }) });
  try {
    return await fileSource(/^file:/i.test(text) ? decodeURIComponent(new URL(text).pathname) : text);
  } catch (cause) {
    throw (await import("./bytes-as-text.js")).bytesAsText(text, label, cause) ?? cause;
  }
}

type ReadRange = (
  offsetBytes: number,
  lengthBytes: number,
  signal?: AbortSignal,
  into?: Uint8Array,
) => Promise<Uint8Array>;

/** Common checks of all sources: range, abort, closed, truncation, alignment. */
class RangeSource implements ByteSource {
  private closed = false;

  constructor(
    readonly name: string,
    readonly sizeBytes: number,
    private readonly readRange: ReadRange,
    private readonly release?: () => Promise<void>,
  ) {}

  async read(offsetBytes: number, lengthBytes: number, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array> {
    throwIfAborted(signal, this.name);
    const range = `bytes ${offsetBytes} to ${offsetBytes + lengthBytes}`;
    const whole = Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes);
    if (!whole || offsetBytes < 0 || lengthBytes < 0 || offsetBytes + lengthBytes > this.sizeBytes) {
      const remedy = "the file is shorter than its contents say; get it again";
      throw new SourceError({
        where: this.name,
        expected: `a range within ${this.sizeBytes} bytes`,
        got: range,
        remedy,
      });
    }
    if (this.closed) {
      const remedy = "read before closing";
      throw new SourceError({ where: this.name, expected: "an open source", got: "a closed one", remedy });
    }
    let bytes: Uint8Array;
    try {
      bytes = await this.readRange(offsetBytes, lengthBytes, signal, into);
    } catch (cause) {
      if (cause instanceof OcellusError) throw cause;
      const remedy = "check that the file is still there and readable";
      throw new SourceError({ where: this.name, expected: range, got: String(cause), remedy, cause });
    }
    throwIfAborted(signal, this.name);
    if (bytes.length !== lengthBytes) throw truncated(this.name, range, `${bytes.length} bytes`);
    return bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.release?.();
  }
}
