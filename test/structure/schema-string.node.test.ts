import { beforeAll, it } from "vitest";
import { tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { checkTexts } from "../support/schema-answers.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

it.each<[string, object, readonly string[], readonly string[]]>([
  [
    "pattern with lengths",
    { type: "string", pattern: "b", minLength: 2, maxLength: 3 },
    ['"ab"', '"😀b😀"'],
    ['"b"', '"aa"', '"aaab"'],
  ],
  [
    "two patterns",
    { type: "string", allOf: [{ pattern: "^a" }, { pattern: "z$" }] },
    ['"az"', '"a\\"z"'],
    ['"a"', '"z"', '"za"'],
  ],
  ["characters in one spelling", { type: "string" }, ['"\\n\\u0001é/"'], ['"\\u00e9"', '"\\/"', '"\\u000a"']],
])("%s", (_, schema, right, wrong) => checkTexts(vocabulary, schema, right, wrong));
