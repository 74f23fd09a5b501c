interface Medium {
  readonly segments: readonly { readonly tiles: Uint8Array }[];
}

interface Entry<T> {
  /** The options that it was prepared with. */
  readonly options: string;
  readonly medium: T;
  readonly bytes: number;
}

/** Bytes of tiles that are kept: some fifteen pictures of ten tiles of 384 pixels. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * LRU cache of the tiles of Blobs and Files, which are immutable: a conversation, and a page that measures a question while it is written,
 * decode each of them once.
 */
export class PreparedMedia<T extends Medium> {
  /** In order of last use. */
  readonly #entries = new Map<Blob, Entry<T>>();
  #bytes = 0;

  constructor(private readonly mostBytes = MOST_BYTES) {}

  get bytes(): number {
    return this.#bytes;
  }

  /** Returns the tiles of a source that is a Blob, from the cache if they were prepared with the same options; else calls `prepare`. */
  async of(source: unknown, options: string, prepare: () => Promise<T>): Promise<T> {
    if (!(source instanceof Blob)) return prepare();
    const found = this.#entries.get(source);
    if (found?.options === options) {
      this.#drop(source);
      this.#keep(source, found);
      return found.medium;
    }
    const medium = await prepare();
    this.#drop(source);
    const bytes = medium.segments.reduce((sum, { tiles }) => sum + tiles.byteLength, 0);
    if (bytes <= this.mostBytes) this.#keep(source, { options, medium, bytes });
    return medium;
  }

  #keep(source: Blob, entry: Entry<T>): void {
    this.#entries.set(source, entry);
    this.#bytes += entry.bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.mostBytes) break;
      this.#drop(oldest);
    }
  }

  #drop(source: Blob): void {
    this.#bytes -= this.#entries.get(source)?.bytes ?? 0;
    this.#entries.delete(source);
  }
}
