import { beforeAll, it } from "vitest";
import { tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { checkTexts } from "../support/schema-answers.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

it.each<[string, object, readonly string[], readonly string[]]>([
  [
    "prefixItems",
    { type: "array", prefixItems: [{ type: "null" }, { const: 1 }], items: false, minItems: 1 },
    ["[null]", "[null,1]"],
    ["[]", "[1]", "[null,1,1]"],
  ],
  [
    "items",
    { items: { enum: [1, 2] }, minItems: 1, maxItems: 3 },
    ["[1]", "[1, 2,2]"],
    ["[]", "[3]", "[1,1,1,1]", "{}"],
  ],
  [
    "uniqueItems of an enum",
    { type: "array", items: { enum: ["a", "b", 1, 1], type: "string" }, uniqueItems: true, minItems: 1 },
    ['["a"]', '["b","a"]'],
    ["[]", '["a","a"]', "[1]", '["a","b","a"]'],
  ],
  ["uniqueItems of one", { type: "array", uniqueItems: true, maxItems: 1 }, ["[]", "[[1]]"], ["[1,1]"]],
  ["true and false", { type: "array", prefixItems: [true, false] }, ["[]", "[1]"], ["[1,1]"]],
])("%s", (_, schema, right, wrong) => checkTexts(vocabulary, schema, right, wrong));
