import { beforeAll, describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { constraint, tinyVocabulary, type Vocabulary } from "../support/constrained.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

function nested(levels: number): object {
  let schema: object = {};
  for (let i = 0; i < levels; i++) schema = { type: "array", items: schema };
  return schema;
}

const inside = (schema: unknown) => ({ type: "object", properties: { "a/b": { type: "array", items: schema } } });

describe("an unsupported schema is rejected", () => {
  it.each<[object, RegExp]>([
    [{ not: { type: "null" } }, /\/not: expected true or \{\}.*describe what is allowed/],
    [{ if: {}, else: {} }, /`if`.*anyOf/],
    // biome-ignore lint/suspicious/noThenProperty: it is a keyword of schemas
    [{ then: {} }, /`then`/],
    [{ else: {} }, /`else`/],
    [{ contains: {} }, /`contains`/],
    [{ minContains: 1 }, /`minContains`/],
    [{ maxContains: 1 }, /`maxContains`/],
    [{ dependentRequired: {} }, /`dependentRequired`/],
    [{ dependentSchemas: {} }, /`dependentSchemas`/],
    [{ dependencies: {} }, /`dependencies`/],
    [{ unevaluatedItems: false }, /`unevaluatedItems`/],
    [{ unevaluatedProperties: false }, /`unevaluatedProperties`.*additionalProperties/],
    [{ $dynamicRef: "#a" }, /`\$dynamicRef`/],
    [{ $dynamicAnchor: "a" }, /`\$dynamicAnchor`/],
    [{ $recursiveRef: "#" }, /`\$recursiveRef`/],
    [{ nullable: 1 }, /\/nullable: expected true or false/],
    [{ uniqueItems: true }, /\/uniqueItems: expected false, or items .* of an enum/],
    [{ uniqueItems: true, items: { enum: [1, 2, 3, 4, 5, 6, 7, 8, 9] } }, /at most 8 values/],
    [{ uniqueItems: 1 }, /\/uniqueItems: expected true or false/],
    [{ format: 3 }, /\/format: expected a text/],
    [{ type: "number", multipleOf: 0.123456789 }, /\/multipleOf: expected a number .* of at most 100 units/],
    [{ type: "number", multipleOf: 0 }, /\/multipleOf/],
    [{ multipleOf: 101 }, /\/multipleOf/],
    [{ allOf: [{ multipleOf: 11 }, { multipleOf: 13 }] }, /\/multipleOf: .*least common multiple/],
    [
      { oneOf: [{ type: "integer" }, { type: "number" }] },
      /\/oneOf: expected options of which no value can fit two, got 0 and 1/,
    ],
    [{ oneOf: [{ properties: { a: {} } }, { type: "string" }] }, /\/oneOf/],
    [{ oneOf: [{ const: 1 }, { type: "null" }, { type: "number", minimum: 0 }] }, /\/oneOf.*got 0 and 2/],
    [{ patternProperties: { "^a": {}, b$: {} } }, /patternProperties: expected patterns of which no name matches two/],
    [{ patternProperties: { a: {} }, additionalProperties: true }, /additionalProperties: expected false/],
    [{ minProperties: 2 }, /minProperties: expected at most 1: names/],
    [{ propertyNames: { anyOf: [{ maxLength: 3 }] } }, /propertyNames: expected one condition on names/],
    [{ pattern: "(?<=a)b" }, /\/pattern: .*lookbehind/],
    [{ pattern: "(?:(?=a)\\w)+" }, /\/pattern: .*a lookahead in a part that repeats/],
    [{ pattern: "^(?!(?:a|b)*a(?:a|b){18}$)" }, /\/pattern: .*a negative lookahead that is too large/],
    [{ pattern: "a".repeat(20_001) }, /\/pattern: .*20001 characters in \/a{200}…\//],
    [{ pattern: "(" }, /\/pattern/],
    [
      { pattern: "(a|b){200}c{20000}", minLength: 9000 },
      /expected a supported |expected a schema without deep nesting|conditions that can be combined/,
    ],
    [{ $ref: "https://example.org/schema" }, /\/\$ref: expected a place in this schema/],
    [{ $ref: "#/$defs/none" }, /\/\$ref/],
    [{ $ref: "#name" }, /\/\$ref/],
    [{ $ref: "#/%" }, /\/\$ref/],
    [{ $id: "x", $ref: "#" }, /expected a schema with a name of its own, .*got \$id beside \$ref/],
    [{ $id: 3 }, /\/\$id: expected a text/],
    [{ minLenght: 1 }, /`minLenght` — did you mean `minLength`/],
    [{ property: {} }, /did you mean `properties`/],
    [{ discriminator: {} }, /\/discriminator: expected an object with propertyName/],
    [{ discriminator: "kind", mapping: {} }, /\/discriminator/],
    [{ elements: {} }, /`elements` — that is JSON Type Definition/],
    [{ min_length: 1 }, /`min_length` — did you mean `minLength`/],
    [{ itmes: {} }, /did you mean `items`/],
    [{ AllOf: [{}] }, /did you mean `allOf`/],
    [{ type: "text" }, /\/type: expected null, boolean.*got "text"/],
    [{ type: [] }, /\/type/],
    [{ enum: [] }, /\/enum: expected a list of values/],
    [{ required: "a" }, /\/required: expected a list of names/],
    [{ minimum: "1" }, /\/minimum: expected a number/],
    [{ exclusiveMinimum: true }, /\/exclusiveMinimum: expected a number, or true beside minimum/],
    [{ minItems: -1 }, /\/minItems/],
    [{ items: [3] }, /\/items: expected a schema/],
    [{ items: [{}], prefixItems: [{}] }, /\/prefixItems/],
    [{ anyOf: [] }, /\/anyOf/],
    [{ properties: [] }, /\/properties/],
    [{ $defs: { a: 1 } }, /\/\$defs/],
  ])("%j", (schema, message) => {
    expect(() => constraint(vocabulary, { schema: inside(schema) })).toThrow(OptionError);
    expect(() => constraint(vocabulary, { schema: inside(schema) })).toThrow(message);
    expect(() => constraint(vocabulary, { schema: inside(schema) })).toThrow(/schema: \/properties\/a~1b\/items/);
  });

  it.each<[object, RegExp]>([
    [{ type: "integer", minimum: 5, maximum: 3 }, /schema: .*no text fits/],
    [{ type: "object", required: ["a"], properties: { a: false } }, /no text fits/],
    [{ enum: [1, 2], type: "string" }, /no text fits/],
    [{ allOf: [{ type: "string" }, { type: "null" }] }, /no text fits/],
    [{ minItems: 3, maxItems: 2 }, /no text fits/],
    [{ $ref: "#" }, /schema: expected a schema with conditions of its own/],
    [{ anyOf: [{ $ref: "#" }, { type: "null" }] }, /conditions of its own/],
    [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, /no text fits/],
    [
      {
        allOf: Array.from({ length: 5 }, (_, i) => ({
          anyOf: Array.from({ length: 9 }, (_, j) => ({ maxLength: 10 * i + j })),
        })),
      },
      /fewer combinations/,
    ],
    [
      { enum: Array.from({ length: 10_000 }, (_, i) => `value ${i}`) },
      /schema: \/enum: expected values of at most 60000 characters/,
    ],
    [{ description: "x".repeat(500_000) }, /schema: expected at most 500000 characters/],
    [{ default: 1n }, /written as JSON/],
  ])("as a whole: %o", (schema, message) => {
    expect(() => constraint(vocabulary, { schema })).toThrow(OptionError);
    expect(() => constraint(vocabulary, { schema })).toThrow(message);
  });

  it("where it is too deep", () => {
    expect(() => constraint(vocabulary, { schema: nested(201) })).toThrow(
      /…\/items\/items.*: expected at most 200 levels/,
    );
    expect(() => constraint(vocabulary, { schema: nested(20_000) })).toThrow(OptionError);
    expect(() => constraint(vocabulary, { schema: { const: nested(20_000) } })).toThrow(OptionError);
  });

  it("but annotations are not", () => {
    const notes = {
      title: "",
      description: "",
      default: 1,
      examples: [],
      $comment: "",
      deprecated: true,
      readOnly: true,
      writeOnly: false,
      example: 1,
      contentMediaType: "application/json",
      contentSchema: { minLenght: 1 },
      "x-order": 3,
      "ui:widget": "text",
      units: "cm",
      kind: "length",
    };
    expect(constraint(vocabulary, { schema: { ...notes, $schema: "", $id: "x", ...inside(notes) } })).toBeDefined();
  });
});
