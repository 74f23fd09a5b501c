/** Memory budget of a clip's index, checked before allocation, since a few bytes of a file can declare billions of entries. */
import { broken } from "./mp4-faults.js";

/** Maximum number of entries: 19 hours at 60 frames per second, less than 1 GB. */
const MAX_ENTRIES = 2 ** 22;
/** Maximum memory per entry, measured, including arrays and their growth. */
const ENTRY_BYTES = 200;
/** Memory budget of entries in a small file. With buffers, an index takes at most 4 times the file size plus 64 MB. */
const BASE_BYTES = 32 * 1024 * 1024;

/** The budget of one file. */
export class IndexBudget {
  readonly #maxEntries: number;
  #entries = 0;

  constructor(
    readonly label: string,
    /** Size of the file. */
    readonly fileBytes: number,
  ) {
    this.#maxEntries = Math.min(MAX_ENTRIES, Math.floor((BASE_BYTES + 2 * fileBytes) / ENTRY_BYTES));
  }

  /** Number of remaining entries. */
  get entries(): number {
    return this.#maxEntries - this.#entries;
  }

  /**
   * Reserves `count` entries: samples, edits or track defaults.
   * @throws MediaError if a file of this size cannot have so many.
   */
  take(count: number, box: { type: string; offsetBytes: number }): void {
    this.#entries += count;
    if (this.#entries <= this.#maxEntries) return;
    const expected = `at most ${this.#maxEntries} entries in the index of a file of ${this.fileBytes} bytes`;
    throw broken(this.label, box, expected, String(this.#entries));
  }
}
