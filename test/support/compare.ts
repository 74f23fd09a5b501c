import { expect } from "vitest";
import { relativeError } from "../../src/bench/compare.js";
import { TOLERANCE } from "./tolerance.js";

export { relativeError, TOLERANCE };

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
