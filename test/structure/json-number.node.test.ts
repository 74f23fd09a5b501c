import { beforeAll, expect, it } from "vitest";
import { commonStep, isMultiple, type NumberLimits, numberPattern } from "../../src/structure/json-number.js";
import { Machine } from "../../src/structure/machine.js";
import { schemaPattern } from "../../src/structure/schema.js";
import { accepts, randomAnswer, tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { reads } from "../support/machine-reads.js";
import { random } from "../support/random.js";
import { ajv, faultOf } from "../support/schema-answers.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

const SAMPLES = [
  ..."0 -0 1 -1 5 7 10 12 15 99 100 101 -5 -12 -100 0.5 -0.5 0.25 1.5 -1.5 1.75 2.25 12.5 99.9 0.001".split(" "),
];
const STEP = 0.25;

it.each([
  [{ type: "integer", minimum: 3, maximum: 17 }],
  [{ type: "integer", minimum: -17, exclusiveMaximum: 105 }],
  [{ type: "integer", exclusiveMinimum: -3 }],
  [{ type: "integer", maximum: -99 }],
  [{ type: "integer", multipleOf: 7 }],
  [{ type: "integer", multipleOf: 25, minimum: -80, maximum: 1e9 }],
  [{ type: "integer", minimum: 1.5, maximum: 100.5 }],
  [{ type: "number", minimum: -1.5, maximum: 1.75 }],
  [{ type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 }],
  [{ type: "number", exclusiveMinimum: -0.5, maximum: 12.5 }],
  [{ type: "number", minimum: 0.25 }],
  [{ type: "number", maximum: -1e-7 }],
  [{ type: "number", multipleOf: 5 }],
  [{ minimum: 99.5 }],
])("numbers are exactly those of %j", (schema) => {
  const validate = ajv.compile(schema);
  const machine = new Machine(schemaPattern(schema));
  const texts = new Set(SAMPLES);
  for (let n = -130; n <= 130; n += STEP) texts.add(String(n));
  const wrong = [...texts].filter((text) => {
    // Zero has one spelling, and a multiple is written without a fraction.
    const right = validate(JSON.parse(text)) && text !== "-0";
    return reads(machine, text) !== right;
  });
  expect(wrong).toEqual([]);
  for (let seed = 0; seed < 50; seed++) expect(faultOf(vocabulary, schema, seed)).toBeUndefined();
});

it("numbers have at most 15 digits, so that none is rounded", () => {
  expect(accepts(vocabulary, { schema: { type: "integer" } }, "999999999999999")).toBe(true);
  expect(accepts(vocabulary, { schema: { type: "integer" } }, "1000000000000000")).toBe(false);
  expect(() => randomAnswer(vocabulary, { schema: { type: "integer", minimum: 1e15 } }, random(1), 40)).toThrow(
    /no text fits/,
  );
});

it("multiples are those of decimals, not of doubles", () => {
  expect([0.3, 0.15, 1e21, -0.05, 0].map((value) => isMultiple(value, 0.05))).toEqual([true, true, true, true, true]);
  expect([0.07, 0.049999, 1e-7].map((value) => isMultiple(value, 0.05))).toEqual([false, false, false]);
  expect(isMultiple(Number.POSITIVE_INFINITY, 1)).toBe(false);
});

it("steps have a least common multiple, if it is not too long", () => {
  expect(commonStep(undefined, 0.25)).toEqual({ units: 25, places: 2 });
  expect(commonStep({ units: 25, places: 2 }, 0.1)).toEqual({ units: 5, places: 1 });
  expect(commonStep({ units: 4, places: 0 }, 6)).toEqual({ units: 12, places: 0 });
  expect(commonStep({ units: 999_999_937, places: 0 }, 999_999_929)).toBeUndefined();
});

it("a range without numbers has no text", () => {
  const limits: NumberLimits = {
    whole: true,
    least: 3.2,
    most: 3.8,
    aboveLeast: false,
    belowMost: false,
    step: undefined,
  };
  expect(() => new Machine(numberPattern(limits))).toThrow(/no text fits/);
  const some = new Machine(numberPattern({ ...limits, whole: false }));
  expect(["3.2", "3.5", "3.8", "3", "4", "3.19", "3.81"].map((text) => reads(some, text))).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});
