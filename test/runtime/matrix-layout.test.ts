import { expect, it } from "vitest";
import { MATRIX_TILE, matrixDepth } from "../../src/runtime/matrix-layout.js";

it("fits the workgroup memory of every adapter", () => {
  expect(matrixDepth(16384)).toBe(4);
  expect(matrixDepth(32768)).toBe(8);
  const stride = (depth: number) => 4 * depth + 8;
  // Two parts of two bytes of both factors, and the results of a step.
  for (const bytes of [16384, 24576, 32768]) {
    expect(2 * 4 * MATRIX_TILE * stride(matrixDepth(bytes)) + 4 * 4 * 16 * 16).toBeLessThanOrEqual(bytes);
  }
});
