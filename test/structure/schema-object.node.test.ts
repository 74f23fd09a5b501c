import { beforeAll, it } from "vitest";
import { tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { checkTexts } from "../support/schema-answers.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

const NAMED = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };

it.each<[string, object, readonly string[], readonly string[]]>([
  ["properties nobody asked for", NAMED, [], ['{"a":1,"b":2}']],
  [
    "other properties",
    { ...NAMED, additionalProperties: { type: "string" } },
    ['{"a":1,"b":"x","aa":""}'],
    ['{"a":1,"a":"x"}', '{"a":1,"b":2}', '{"a":1,"\\u0061":"x"}'],
  ],
  [
    "patternProperties",
    { ...NAMED, patternProperties: { "^x": { type: "null" }, "^[^x]*y$": {} }, propertyNames: { maxLength: 2 } },
    ['{"a":1,"x":null,"zy":[]}'],
    ['{"a":1,"xzz":null}', '{"a":1,"z":null}', '{"a":1,"x":1}'],
  ],
  [
    "propertyNames",
    { type: "object", propertyNames: { enum: ["k", "l", 3] }, maxProperties: 2 },
    ["{}", '{"k":1}', '{"k":1,"l":2}'],
    ['{"m":1}', '{"k":1,"l":2,"k":3}'],
  ],
  [
    "minProperties",
    { type: "object", properties: { a: {}, b: {}, c: {} }, minProperties: 2 },
    ['{"a":1,"c":2}', '{"a":1,"b":1,"c":1}'],
    ["{}", '{"b":1}'],
  ],
  ["required of a name without schema", { type: "object", required: ["z"] }, ['{"z":1}'], ["{}"]],
  [
    "allOf of objects",
    { allOf: [NAMED, { properties: { b: { type: "null" } }, required: ["b"] }] },
    ['{"a":1,"b":null}'],
    ['{"a":1}', '{"b":null}'],
  ],
  [
    "allOf with additionalProperties",
    { allOf: [{ ...NAMED, additionalProperties: false }, { properties: { b: {} } }] },
    ['{"a":1}'],
    ['{"a":1,"b":1}'],
  ],
  [
    "anyOf beside others",
    { type: "object", properties: { a: {}, b: {} }, anyOf: [{ required: ["a"] }, { required: ["b"] }] },
    ['{"a":1}', '{"b":1}', '{"a":1,"b":1}'],
    ["{}"],
  ],
])("%s", (_, schema, right, wrong) => checkTexts(vocabulary, schema, right, wrong));
