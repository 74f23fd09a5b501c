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
