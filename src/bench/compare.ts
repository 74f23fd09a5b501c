/** Largest difference of two equally long sequences, relative to the largest magnitude of `truth`; infinite for NaN. */
export function relativeError(got: ArrayLike<number>, truth: ArrayLike<number>, magnitude?: number): number {
  if (got.length !== truth.length) throw new RangeError(`${got.length} elements against ${truth.length}`);
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < truth.length; i++) {
    largest = Math.max(largest, Math.abs(truth[i]!));
    const d = Math.abs(got[i]! - truth[i]!);
    if (!(d <= worst)) worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
  }
  return worst / Math.max(magnitude ?? largest, 1e-9);
}
