import { beforeAll, describe, expect, it } from "vitest";
import { accepts, tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { random } from "../support/random.js";
import { CHAIN, randomSchema } from "../support/random-schema.js";
import { ajv, checkTexts, faultOf } from "../support/schema-answers.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

describe("random schemas", () => {
  it("produce valid answers for random choices", () => {
    const faults: string[] = [];
    let right = 0;
    for (let seed = 0; seed < 200; seed++) {
      const large = seed % 4 === 0;
      const { schema } = randomSchema(random(seed), large ? 3 : 2);
      for (const run of [1, 2, 3]) {
        const fault = faultOf(vocabulary, schema, seed * 10 + run, large ? 300 : 96);
        if (fault) faults.push(`seed ${seed}, ${JSON.stringify(schema)}: ${fault}`);
        else right++;
      }
    }
    console.log(`${right} of 600 answers to 200 random schemas parse and validate`);
    expect(faults).toEqual([]);
  });

  it("allow the values that fit", () => {
    const refused: string[] = [];
    for (let seed = 0; seed < 200; seed++) {
      const { schema, value } = randomSchema(random(seed));
      const validate = ajv.compile(schema);
      for (let run = 0; run < 3; run++) {
        const drawn = value();
        expect(validate(drawn), `${JSON.stringify(schema)} of the generator: ${JSON.stringify(drawn)}`).toBe(true);
        if (!accepts(vocabulary, { schema }, JSON.stringify(drawn))) {
          refused.push(`seed ${seed}, ${JSON.stringify(schema)}: ${JSON.stringify(drawn)}`);
        }
      }
    }
    expect(refused).toEqual([]);
  });
});

describe("keywords", () => {
  const NAMED = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };

  it.each<[string, object, readonly string[], readonly string[]]>([
    [
      "any JSON",
      {},
      ["null", "[]", '{"a":[1,{}]}', '{"a": 1, "b": 2}', '"x"', "-1.5e-3"],
      ["", "01", "nul", "[1,]", "{a:1}", '"\\x"'],
    ],
    ["white space: one space", NAMED, ['{"a": 1}'], ['{"a":  1}', '{ "a":1}', '{"a":\n1}']],
    [
      "$ref with others",
      { $ref: "#/$defs/a~1b", $defs: { "a/b": { type: "integer" } }, minimum: 5 },
      ["5"],
      ["4", '"a"'],
    ],
    [
      "recursion",
      CHAIN,
      ['{"v":1,"next":null}', '{"v":1,"next":{"v":2,"next":null}}'],
      ['{"v":1}', '{"v":1,"next":{}}'],
    ],
  ])("%s", (_, schema, right, wrong) => checkTexts(vocabulary, schema, right, wrong));
});
