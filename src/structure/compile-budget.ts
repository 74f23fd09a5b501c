import { PatternFault } from "./fault.js";

/**
 * Maximum work of one compilation, in steps of about 50 ns: two seconds. Every part of a structure has limits of its own, but a
 * schema may have hundreds of such parts.
 */
export const MOST_WORK = 40_000_000;
/** Steps of an edge or a range of characters that is stored: bounds memory too, at some hundred megabytes. */
export const STORED = 20;

/** Steps left to the compilation that runs; unlimited outside of one. */
let left = Number.POSITIVE_INFINITY;

/** The budget of one compilation, which may run in time slices between those of others. */
export class CompileBudget {
  #left: number;

  constructor(work = MOST_WORK) {
    this.#left = work;
  }

  /** Runs a part of the compilation; `spend` in it counts against this budget. */
  run<T>(part: () => T): T {
    const outer = left;
    left = this.#left;
    try {
      return part();
    } finally {
      this.#left = left;
      left = outer;
    }
  }
}

/** Counts work. Throws PatternFault beyond the budget of the compilation that runs. */
export function spend(steps: number): void {
  left -= steps;
  if (left < 0) throw new PatternFault(`one whose compilation takes more than ${MOST_WORK} steps`);
}
