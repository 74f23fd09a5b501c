import type { ByteSource } from "../io/source.js";

/**
 * Bytes of layers that stream, kept in host memory between passes. The first ones that are read are kept, as many as there is room for: a pass
 * reads all layers in the same order, so a cache of the latest ones would never have the next one.
 * @example
 * ```ts
 * const cache = new HostCache(4 * 2 ** 30);
 * const source = cache.over(layer.source);
 * await source.read(0, 4096); // from the file
 * await source.read(0, 4096); // from memory
 * ```
 */
export class HostCache {
  /** Bytes that are kept. */
  heldBytes = 0;
  readonly #kept = new Map<string, Uint8Array>();

  constructor(readonly mostBytes: number) {}

  /** Returns what is kept under a key, or what `read` returns, whose memory may be used again. The result is not to be written to. */
  async read(key: string, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const kept = this.#kept.get(key);
    if (kept) return kept;
    const bytes = await read();
    if (this.heldBytes + bytes.length <= this.mostBytes && !this.#kept.has(key)) {
      this.#kept.set(key, bytes.slice());
      this.heldBytes += bytes.length;
    }
    return bytes;
  }

  /** Returns a source whose ranges are kept. */
  over(source: ByteSource): ByteSource {
    const { name, sizeBytes } = source;
    return {
      name,
      sizeBytes,
      read: (offsetBytes, lengthBytes, signal, into) =>
        this.read(`${name} ${offsetBytes} ${lengthBytes}`, () => source.read(offsetBytes, lengthBytes, signal, into)),
      close: () => source.close(),
    };
  }
}
