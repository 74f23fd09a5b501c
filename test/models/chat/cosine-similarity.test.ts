import { expect, test } from "vitest";
import { ShapeError } from "../../../src/base/errors.js";
import { cosineSimilarity } from "../../../src/models/chat/cosine-similarity.js";

test("the cosine of the angle between two vectors, 0 where one is zero", () => {
  expect(cosineSimilarity([0, 0], [1, 2])).toBe(0);
  expect(cosineSimilarity([1, 0], [-2, 0])).toBe(-1);
  expect(cosineSimilarity(Float32Array.of(3, 4), [4, 3])).toBeCloseTo(24 / 25, 12);
  expect(cosineSimilarity([1e-20, 0], [1e-20, 1e-20])).toBeCloseTo(Math.SQRT1_2, 12);
});

test("vectors of two lengths are refused", () => {
  expect(() => cosineSimilarity([1], [1, 2])).toThrow(ShapeError);
  expect(() => cosineSimilarity([1], [1, 2])).toThrow(/expected two vectors of 1 numbers, got 2 in the second/);
});
