import { PIECE_BYTES } from "./indexed-tensor.js";

/**
 * The hash of a layer of a packed checkpoint: SHA-256 of the SHA-256 hashes of its pieces of 2 MiB. Pieces, so that Web Crypto can compute
 * it in bounded memory and beside the thread that reads: 1.6 GB/s on one core.
 */
export class LayerHash {
  readonly #hashes: Uint8Array[] = [];
  #last: Promise<void> = Promise.resolve();
  /** The beginning of the next piece, where bytes come in other lengths. */
  #rest: Uint8Array | undefined;
  #used = 0;

  /** Adds the next bytes, which are copied; at most one piece is waiting to be hashed. */
  async add(bytes: Uint8Array): Promise<void> {
    let at = 0;
    while (at < bytes.length) {
      if (this.#used === 0 && bytes.length - at >= PIECE_BYTES) {
        await this.#addPiece(bytes.subarray(at, at + PIECE_BYTES));
        at += PIECE_BYTES;
        continue;
      }
      this.#rest ??= new Uint8Array(PIECE_BYTES);
      const some = bytes.subarray(at, at + PIECE_BYTES - this.#used);
      this.#rest.set(some, this.#used);
      this.#used += some.length;
      at += some.length;
      if (this.#used === PIECE_BYTES) await this.#addRest();
    }
  }

  /** Returns the hash as lower-case hexadecimal digits; the last call. */
  async hex(): Promise<string> {
    if (this.#used > 0) await this.#addRest();
    await this.#last;
    const all = new Uint8Array(this.#hashes.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const hash of this.#hashes) {
      all.set(hash, at);
      at += hash.length;
    }
    return Array.from(await sha256(all), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  async #addRest(): Promise<void> {
    const piece = this.#rest!.subarray(0, this.#used);
    this.#used = 0;
    await this.#addPiece(piece);
  }

  async #addPiece(piece: Uint8Array): Promise<void> {
    const before = this.#last;
    const at = this.#hashes.push(new Uint8Array()) - 1;
    this.#last = sha256(piece).then((hash) => {
      this.#hashes[at] = hash;
    });
    await before;
  }
}

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
}
