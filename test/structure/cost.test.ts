import { beforeAll, describe, expect, it, vi } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import type { Structure } from "../../src/structure/constraint.js";
import { constraint, realVocabulary, type Vocabulary } from "../support/constrained.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await realVocabulary();
  constraint(vocabulary, { schema: true });
});

const list = (items: object): object => ({ type: "array", minItems: 1000, items });
const words = (count: number): string[] => Array.from({ length: count }, (_, i) => `w${(i * 7919) % 1_000_003}`);
const properties = Object.fromEntries(words(500).map((name) => [name, { type: "string" }]));

/** On a machine with little else to do all of them take a tenth of this. */
const MOST_MS = 2000;

describe("what a stranger asks for is cheap, or refused before it costs", () => {
  it.each<[string, Structure]>([
    ["lists of lists", { schema: list(list({ type: "integer" })) }],
    ["lists five deep", { schema: list(list(list(list(list({ type: "string", minLength: 1000 }))))) }],
    ["long texts", { schema: { type: "string", minLength: 300_000, maxLength: 2 ** 31 } }],
    ["long texts beside a pattern", { schema: { type: "string", format: "uri", minLength: 1900, maxLength: 2083 } }],
    ["many items", { schema: { type: "array", maxItems: 100_000, items: { type: "string", maxLength: 5000 } } }],
    ["counts in counts", { regex: "(?:(?:[a-z]{1000}){1000}){1000}x" }],
    ["counts of what may be empty", { regex: "(?:(?:a?){30}){3000}b" }],
    ["what can be read in many ways", { regex: "(?:[a-z]|[a-z ]{2}){3000}b" }],
    ["a pattern that takes RegExp for ever", { schema: { enum: [`${"a".repeat(60)}!`, "a"], pattern: "^(a+)+$" } }],
    ["thousands of words", { schema: { enum: words(3000) } }],
    [
      "thousands of words in a grammar",
      {
        grammar: `root ::= ${words(2000)
          .map((w) => `"${w}"`)
          .join(" | ")}`,
      },
    ],
    ["hundreds of properties", { schema: { type: "object", properties, minProperties: 100, maxProperties: 400 } }],
    [
      "options that multiply",
      { schema: { allOf: words(20).map(() => ({ anyOf: [{ maxLength: 3 }, { pattern: "x" }] })) } },
    ],
    ["long names", { schema: { type: "object", properties: { ["k".repeat(30_000)]: {} }, minLenght: 1 } }],
  ])("%s", (_, structure) => {
    const begun = performance.now();
    try {
      const one = constraint(vocabulary, structure);
      const mask = new Uint32Array(Math.ceil(vocabulary.size / 32));
      // Where it doesn't come to its end in time it isn't hurried; either way it yields on the way.
      for (const left of [5000, 40])
        for (const _ of one.allowing(mask, left)) if (performance.now() - begun > 60_000) break;
    } catch (error) {
      expect(error).toBeInstanceOf(OptionError);
      expect((error as Error).message.length).toBeLessThan(1500);
    }
    expect(performance.now() - begun).toBeLessThan(5 * MOST_MS);
  });

  it("and a mask that takes long yields on the way", () => {
    const one = constraint(vocabulary, { regex: "(?:[a-z]|[a-z ]{2}){3000}b" });
    const mask = new Uint32Array(Math.ceil(vocabulary.size / 32));
    // A clock by which every look at it takes a millisecond: however fast the machine is.
    let now = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now++);
    let [times, longest, before] = [0, 0, now];
    for (const _ of one.allowing(mask, 40)) {
      times++;
      longest = Math.max(longest, now - before);
      before = now;
    }
    clock.mockRestore();
    expect(times).toBeGreaterThan(0);
    expect(longest).toBeLessThan(MOST_MS);
    expect(mask.some((word) => word !== 0)).toBe(true);
  });
});
