import { Ajv2020 } from "ajv/dist/2020.js";
import { beforeAll, describe, expect, it } from "vitest";
import { accepts, randomAnswer, tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { random } from "../support/random.js";
import { CHAIN, randomSchema } from "../support/random-schema.js";

const ajv = new Ajv2020({
  strict: false,
  formats: {
    // Other days than there are become days of the next month.
    date: (text: string) => JSON.stringify(new Date(`${text}T00:00:00Z`)).startsWith(`"${text}`),
    time: (text: string) => !Number.isNaN(Date.parse(`2024-01-01T${text}`)),
    ipv4: (text: string) => /^\d+(\.\d+){3}$/.test(text) && text.split(".").every((part) => Number(part) < 256),
  },
});

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

/** A text as an answer of random tokens gives it, and what is wrong with it. */
function faultOf(schema: object, seed: number, budget = 96): string | undefined {
  const { text, ended } = randomAnswer(vocabulary, { schema }, random(seed), budget);
  if (!ended) return `not ended: ${text}`;
  const validate = ajv.compile(schema);
  return validate(JSON.parse(text)) ? undefined : `${text}: ${ajv.errorsText(validate.errors)}`;
}

describe("random schemas", () => {
  it("produce valid answers for random choices", () => {
    const faults: string[] = [];
    let right = 0;
    for (let seed = 0; seed < 200; seed++) {
      const large = seed % 4 === 0;
      const { schema } = randomSchema(random(seed), large ? 3 : 2);
      for (const run of [1, 2, 3]) {
        const fault = faultOf(schema, seed * 10 + run, large ? 300 : 96);
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

describe("numbers", () => {
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
  ])("are exactly those of %j", (schema) => {
    const validate = ajv.compile(schema);
    const texts = new Set(SAMPLES);
    for (let n = -130; n <= 130; n += STEP) texts.add(String(n));
    const wrong = [...texts].filter((text) => {
      // Zero has one spelling, and a multiple is written without a fraction.
      const right = validate(JSON.parse(text)) && text !== "-0";
      return accepts(vocabulary, { schema }, text) !== right;
    });
    expect(wrong).toEqual([]);
    for (let seed = 0; seed < 50; seed++) expect(faultOf(schema, seed)).toBeUndefined();
  });

  it("have at most 15 digits, so that none is rounded", () => {
    expect(accepts(vocabulary, { schema: { type: "integer" } }, "999999999999999")).toBe(true);
    expect(accepts(vocabulary, { schema: { type: "integer" } }, "1000000000000000")).toBe(false);
    expect(() => randomAnswer(vocabulary, { schema: { type: "integer", minimum: 1e15 } }, random(1), 40)).toThrow(
      /no text fits/,
    );
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
    ["enum narrowed", { enum: [1, 5, "a", null], minimum: 3, type: ["integer", "null"] }, ["5", "null"], ["1", '"a"']],
    ["const", { const: { a: [1, "x"] } }, ['{"a":[1,"x"]}', '{"a": [1, "x"]}'], ['{"a":[1]}']],
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
    ["characters in one spelling", { type: "string" }, ['"\\n\\u0001é/"'], ['"\\u00e9"', '"\\/"', '"\\u000a"']],
    ["true and false", { type: "array", prefixItems: [true, false] }, ["[]", "[1]"], ["[1,1]"]],
  ])("%s", (_, schema, right, wrong) => {
    const validate = ajv.compile(schema);
    for (const text of right) {
      expect(validate(JSON.parse(text)), text).toBe(true);
      expect(accepts(vocabulary, { schema }, text), text).toBe(true);
    }
    for (const text of wrong) expect(accepts(vocabulary, { schema }, text), text).toBe(false);
    for (let seed = 0; seed < 20; seed++) expect(faultOf(schema, seed)).toBeUndefined();
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ["date", ["2024-02-29", "2000-02-29", "1999-12-31"], ["2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31"]],
    ["time", ["23:59:59Z", "00:00:00.25-11:30"], ["24:00:00Z", "12:00:00"]],
    ["date-time", ["2024-02-29T12:00:00Z"], ["2024-02-30T12:00:00Z", "2024-02-29 12:00:00Z"]],
    ["email", ["a.b+c@d-e.org"], ["a@b", "@b.c", "a..b@c.de"]],
    ["hostname", ["a", "a-b.example"], ["-a", "a..b"]],
    ["ipv4", ["0.0.0.0", "255.249.99.1"], ["256.0.0.1", "1.2.3", "01.2.3.4"]],
    ["uri", ["https://a.example:80/b/%20?c=d/e#f", "git+ssh://x"], ["https:", "http://a b", "/a", "http://a/%2"]],
    ["uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]],
  ])("format %s", (format, right, wrong) => {
    const schema = { type: "string", format };
    for (const text of right) expect(accepts(vocabulary, { schema }, JSON.stringify(text)), text).toBe(true);
    for (const text of wrong) expect(accepts(vocabulary, { schema }, JSON.stringify(text)), text).toBe(false);
  });
});
