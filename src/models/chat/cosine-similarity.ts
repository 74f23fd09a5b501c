import { ShapeError } from "../../base/errors.js";

/** Cosine similarity of two vectors, from -1 to 1; 0 if one is zero. Throws ShapeError for unequal lengths. */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new ShapeError({
      where: "cosineSimilarity",
      expected: `two vectors of ${a.length} numbers`,
      got: `${b.length} in the second`,
      remedy: "compare vectors of one model and one kind",
    });
  }
  let [dot, first, second] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    first += a[i]! ** 2;
    second += b[i]! ** 2;
  }
  return first > 0 && second > 0 ? dot / Math.sqrt(first * second) : 0;
}
