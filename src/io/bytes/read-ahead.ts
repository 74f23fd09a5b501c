/** Read-ahead buffering for sources with a round trip per read. */

import type { ByteSource } from "./source.js";

/** Window size: weights are read in file order, and many tensors have a few kilobytes; larger windows would read more unused bytes. */
const WINDOW_BYTES = 1024 * 1024;

/**
 * Wraps a source with read-ahead: a read smaller than the window fetches a whole window from its offset on, and further reads within it
 * are served from memory. Larger reads bypass the window. Errors are those of the source.
 */
export function readAhead(source: ByteSource, windowBytes = WINDOW_BYTES): ByteSource {
  let window: { start: number; end: number; bytes: Promise<Uint8Array> } | undefined;
  return {
    name: source.name,
    sizeBytes: source.sizeBytes,
    async read(offsetBytes, lengthBytes, signal, into) {
      const end = offsetBytes + lengthBytes;
      const within = window && offsetBytes >= window.start && end <= window.end;
      if (!within) {
        // Ranges outside the file are rejected by the source.
        if (lengthBytes >= windowBytes || !(offsetBytes >= 0 && lengthBytes >= 0 && end <= source.sizeBytes))
          return source.read(offsetBytes, lengthBytes, signal, into);
        const length = Math.min(windowBytes, source.sizeBytes - offsetBytes);
        window = { start: offsetBytes, end: offsetBytes + length, bytes: source.read(offsetBytes, length, signal) };
      }
      const used = window!;
      try {
        const bytes = await used.bytes;
        return bytes.slice(offsetBytes - used.start, end - used.start);
      } catch (cause) {
        if (window === used) window = undefined;
        throw cause;
      }
    },
    async close() {
      window = undefined;
      await source.close();
    },
  };
}
