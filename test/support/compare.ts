import { expect } from "vitest";

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

/** Largest difference of two equally long sequences, relative to the largest magnitude of `truth`. */
export function relativeError(got: ArrayLike<number>, truth: ArrayLike<number>, magnitude?: number): number {
  if (got.length !== truth.length) throw new Error(`${got.length} elements against ${truth.length}`);
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < truth.length; i++) {
    largest = Math.max(largest, Math.abs(truth[i]!));
    const d = Math.abs(got[i]! - truth[i]!);
    if (!(d <= worst)) worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
  }
  return worst / Math.max(magnitude ?? largest, 1e-9);
}

export function expectClose(
  got: ArrayLike<number>,
  truth: ArrayLike<number>,
  kind: keyof typeof TOLERANCE,
  what = "",
): void {
  const error = relativeError(got, truth);
  expect(error, `${what} relative error ${error.toExponential(2)}`).toBeLessThanOrEqual(TOLERANCE[kind]);
}
