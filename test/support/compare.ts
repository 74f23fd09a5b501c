import { expect } from "vitest";
import { relativeError } from "../../src/bench/compare.js";

export { relativeError };

/** Largest difference allowed, relative to the largest magnitude of the truth; one line a kind of arithmetic. */
export const TOLERANCE = {
  /** Moves bytes. */
  exact: 0,
  /** A kernel in f32 against its float64 loop. */
  kernel: 4e-6,
  /** A softmax over scores in the hundreds: such scores are off by 1e-5 in f32 by themselves. */
  steep: 5e-5,
  /** A named intermediate of a whole model against the reference implementation in f32. */
  tap: 2e-4,
} as const;

export function expectClose(
  got: ArrayLike<number>,
  truth: ArrayLike<number>,
  kind: keyof typeof TOLERANCE,
  what = "",
): void {
  const error = relativeError(got, truth);
  expect(error, `${what} relative error ${error.toExponential(2)}`).toBeLessThanOrEqual(TOLERANCE[kind]);
}

/** Equality of long arrays, number by number; `toEqual` takes seconds for them. */
export function expectSame(got: ArrayLike<number>, truth: ArrayLike<number>, what = ""): void {
  expect(got.length, what).toBe(truth.length);
  for (let i = 0; i < truth.length; i++) {
    if (!Object.is(got[i], truth[i])) expect.fail(`${what} element ${i} is ${got[i]}, not ${truth[i]}`);
  }
}
