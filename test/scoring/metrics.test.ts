import { describe, expect, test } from "vitest";
import { levenshtein, METRICS } from "../../src/scoring/metrics.js";

// Cases computed by hand from the definitions in the papers.

describe("exact", () => {
  test.each([
    ["4", ["4"], 1],
    [" 4\n", ["5", "4"], 1],
    ["Four", ["four"], 0],
    ["", ["4"], 0],
  ] as const)("%j of %j: %d", (prediction, answers, score) => {
    expect(METRICS.exact(prediction, answers)).toBe(score);
  });
});

describe("relaxed accuracy", () => {
  test.each([
    ["105", ["100"], 1],
    ["95", ["100"], 1],
    ["94.9", ["100"], 0],
    ["-95", ["-100"], 1],
    ["5%", ["0.05"], 1],
    ["5%", ["5"], 0],
    ["0", ["0"], 1],
    ["0.01", ["0"], 0],
    ["Blue", ["blue"], 1],
    ["1,000", ["1000"], 0],
    ["light blue", ["blue", "light blue"], 1],
  ] as const)("%j of %j: %d", (prediction, answers, score) => {
    expect(METRICS.relaxed(prediction, answers)).toBe(score);
  });
});

describe("ANLS", () => {
  test.each([
    ["hello", ["hello"], 1],
    ["Hello  World ", ["hello world"], 1],
    ["helo", ["hello"], 0.8],
    ["abcd", ["abxy"], 0],
    ["abcd", ["abcx", "zzzz"], 0.75],
    ["", [""], 1],
    ["", ["x"], 0],
  ] as const)("%j of %j: %d", (prediction, answers, score) => {
    expect(METRICS.anls(prediction, answers)).toBeCloseTo(score, 12);
  });

  test("the distance counts insertions, deletions and replacements", () => {
    expect(levenshtein([..."kitten"], [..."sitting"])).toBe(3);
    expect(levenshtein([], [..."abc"])).toBe(3);
    expect(levenshtein([..."abc"], [])).toBe(3);
  });
});

describe("VQA accuracy", () => {
  const ten = (right: number): string[] => Array.from({ length: 10 }, (_, i) => (i < right ? "two" : `other ${i}`));
  test.each([
    [0, 0],
    [1, 0.3],
    [2, 0.6],
    [3, 0.9],
    [4, 1],
    [10, 1],
  ] as const)("%d of ten people agree: %d", (right, score) => {
    expect(METRICS.vqa("2", ten(right))).toBeCloseTo(score, 12);
  });

  test("a single answer is right or wrong, after normalisation", () => {
    expect(METRICS.vqa("The dog.", ["dog"])).toBe(1);
    expect(METRICS.vqa("cat", ["dog"])).toBe(0);
  });
});

describe("choice", () => {
  test.each([
    ["B", ["B"], 1],
    ["(b)", ["B"], 1],
    ["B. a dog", ["B"], 1],
    ["The answer is B.", ["B"], 1],
    ["The correct option is (C)", ["C"], 1],
    ["A dog", ["A"], 0],
    ["I see a dog.", ["A"], 0],
    ["C", ["B"], 0],
    ["", ["B"], 0],
  ] as const)("%j of %j: %d", (prediction, answers, score) => {
    expect(METRICS.choice(prediction, answers)).toBe(score);
  });
});
