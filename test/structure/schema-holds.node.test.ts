import { beforeAll, expect, it } from "vitest";
import { equal, kindOf } from "../../src/structure/schema-holds.js";
import { tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { checkTexts } from "../support/schema-answers.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

it.each<[string, object, readonly string[], readonly string[]]>([
  ["enum narrowed", { enum: [1, 5, "a", null], minimum: 3, type: ["integer", "null"] }, ["5", "null"], ["1", '"a"']],
  ["const", { const: { a: [1, "x"] } }, ['{"a":[1,"x"]}', '{"a": [1, "x"]}'], ['{"a":[1]}']],
])("%s", (_, schema, right, wrong) => checkTexts(vocabulary, schema, right, wrong));

it("values are equal whatever the order of their properties", () => {
  expect(equal({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 })).toBe(true);
  for (const [a, b] of [
    [
      [1, 2],
      [2, 1],
    ],
    [{ a: 1 }, { a: 1, b: undefined }],
    [{ toString: 1 }, {}],
    [[], {}],
    [null, {}],
    [1, "1"],
  ]) {
    expect(equal(a, b), JSON.stringify([a, b])).toBe(false);
    expect(equal(b, a), JSON.stringify([b, a])).toBe(false);
  }
});

it("a value has one of seven kinds", () => {
  expect([null, true, 1, 1.5, -0, "", [], {}].map(kindOf)).toEqual([
    "null",
    "boolean",
    "integer",
    "fraction",
    "integer",
    "string",
    "array",
    "object",
  ]);
});
