import { shuffled } from "./random.js";

/** In which order the records of each pass over the data come. */
export interface OrderOptions {
  /** Number of records. */
  readonly count: number;
  readonly shuffle: boolean;
  readonly seed: number;
  /** Lengths of the records, if those of a step are to be of similar length; the order is random then. */
  readonly lengths?: readonly number[] | undefined;
  /** Records of a step. */
  readonly batch: number;
}

/** Steps whose records are sorted together, as in transformers. */
const MOST_STEPS = 50;

/** The order of the records: a function of the position alone, so a run that is resumed goes on with the same records. */
export class RecordOrder {
  /** The pass whose order is known. */
  #pass = -1;
  #order: readonly number[] = [];

  constructor(private readonly options: OrderOptions) {}

  /** The record at a position, counted from 0 over all passes. */
  at(position: number): number {
    const { count, shuffle, seed, lengths, batch } = this.options;
    const pass = Math.floor(position / count);
    if (lengths === undefined && !shuffle) return position % count;
    if (pass !== this.#pass) {
      this.#order = lengths ? groupedByLength(lengths, batch, seed + pass) : shuffled(count, seed + pass);
      this.#pass = pass;
    }
    return this.#order[position % count]!;
  }
}

/**
 * A random order in which the records of a batch have similar lengths: groups of up to 50 batches are sorted from long to short, and the
 * longest record of all comes first, so that memory ends at once if it ends at all (`get_length_grouped_indices` of transformers).
 */
export function groupedByLength(lengths: readonly number[], batch: number, seed: number): number[] {
  const steps = Math.max(1, Math.min(Math.floor(lengths.length / (batch * 4)), MOST_STEPS));
  const order = shuffled(lengths.length, seed);
  const groups: number[][] = [];
  for (let first = 0; first < order.length; first += steps * batch) {
    // The order of equal lengths stays random.
    groups.push(order.slice(first, first + steps * batch).sort((a, b) => lengths[b]! - lengths[a]!));
  }
  const longest = groups.reduce((most, [first], i) => (lengths[first!]! > lengths[groups[most]![0]!]! ? i : most), 0);
  const [head, other] = [groups[0]!, groups[longest]!];
  [head[0], other[0]] = [other[0]!, head[0]!];
  return groups.flat();
}
