import { beforeAll, describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { CompileBudget, MOST_WORK, spend } from "../../src/structure/compile-budget.js";
import type { Structure } from "../../src/structure/constraint.js";
import { PatternFault } from "../../src/structure/fault.js";
import { constraint, tinyVocabulary, type Vocabulary } from "../support/constrained.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

const fields = (count: number, schema: (i: number) => object): Structure => ({
  schema: {
    type: "object",
    properties: Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, schema(i)])),
  },
});

function thrown(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}

describe("the work of a compilation", () => {
  it("is counted where it runs, and not outside", () => {
    const budget = new CompileBudget(10);
    spend(1e12);
    budget.run(() => spend(6));
    budget.run(() => new CompileBudget(100).run(() => spend(90)));
    expect(() => budget.run(() => spend(5))).toThrow(PatternFault);
    spend(1e12);
  });

  // Each of them ended the process with 4 GB of memory, or took more than a minute.
  it.each<[string, Structure]>([
    [
      "many long patterns with lengths",
      fields(80, (i) => ({ type: "string", pattern: `a{1,${4000 + i}}b{1,5000}`, maxLength: 5000 + i })),
    ],
    [
      "many rules for passwords",
      fields(400, (i) => ({ type: "string", pattern: `^(?=.*[A-Z])(?=.*[0-9])(?=.*[!-/])(?=.*x${i}).{8,64}$` })),
    ],
    [
      "many lengths of letters of all languages",
      fields(900, (i) => ({
        type: "string",
        pattern: `^[\\p{L}\\p{N}]{1,${20 + i}}$`,
        minLength: 3,
        maxLength: 100 + i,
      })),
    ],
    [
      "many values under many conditions",
      {
        schema: {
          enum: Array.from({ length: 15_000 }, (_, i) => i % 1000),
          allOf: Array.from({ length: 4900 }, (_, i) => ({ minimum: -i })),
        },
      },
    ],
  ])("is bounded for %s", (_, structure) => {
    const error = thrown(() => constraint(vocabulary, structure));
    expect(error).toBeInstanceOf(OptionError);
    expect((error as Error).message).toContain(`takes more than ${MOST_WORK} steps`);
  });

  it("is enough for hundreds of formats and patterns", () => {
    const many = fields(250, (i) => ({ type: "string", format: "uri", minLength: 10 + i, maxLength: 1000 + i }));
    expect(constraint(vocabulary, many).complete).toBe(false);
  });
});
