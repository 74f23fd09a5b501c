/** Memory budget of a clip's index, checked before allocation: a few bytes of a file can declare billions of entries. */
import { broken } from "./mp4-faults.js";

/** 19 hours at 60 frames a second, under 1 GB. */
const MAX_ENTRIES = 2 ** 22;
/** An entry takes at most so many bytes of memory, arrays and their growth included; measured. */
const ENTRY_BYTES = 200;
/** What entries may take in a small file. In all an index stays within 4 times the file and 64 MB, buffers included. */
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

  /** Entries that may still be taken. */
  get entries(): number {
    return this.#maxEntries - this.#entries;
  }

  /**
   * Takes `count` entries: samples, edits or defaults of tracks.
   * @throws MediaError where a file of this size cannot have so many.
   */
  take(count: number, box: { type: string; offsetBytes: number }): void {
    this.#entries += count;
    if (this.#entries <= this.#maxEntries) return;
    const expected = `at most ${this.#maxEntries} entries in the index of a file of ${this.fileBytes} bytes`;
    throw broken(this.label, box, expected, String(this.#entries));
  }
}
