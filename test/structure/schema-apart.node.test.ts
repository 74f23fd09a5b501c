import { beforeAll, it } from "vitest";
import { tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { checkTexts } from "../support/schema-answers.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

it.each<[string, object, readonly string[], readonly string[]]>([
  [
    "oneOf",
    { oneOf: [{ type: "integer", maximum: 3 }, { type: "integer", minimum: 5 }, { type: "string" }] },
    ["3", "5", '"a"'],
    ["4"],
  ],
  [
    "oneOf told apart by a property",
    {
      type: "object",
      properties: { n: { type: "integer" } },
      required: ["kind"],
      oneOf: [
        { properties: { kind: { const: "a" } }, required: ["kind"] },
        { properties: { kind: { enum: ["b", "c"] } }, required: ["kind", "n"] },
      ],
    },
    ['{"n":1,"kind":"a"}', '{"kind":"a"}', '{"n":1,"kind":"b"}'],
    ['{"kind":"b"}', '{"n":1}', '{"kind":"d"}'],
  ],
])("%s", (_, schema, right, wrong) => checkTexts(vocabulary, schema, right, wrong));
