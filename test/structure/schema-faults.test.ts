import { beforeAll, describe, expect, it } from "vitest";
import { OptionError } from "../../src/runtime/errors.js";
import { constraint, tinyVocabulary, type Vocabulary } from "../support/constrained.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

const inside = (schema: unknown) => ({ type: "object", properties: { "a/b": { type: "array", items: schema } } });

describe("a schema that can't be held to is refused", () => {
  it.each<[object, RegExp]>([
    [{ not: { type: "null" } }, /`not` — say what is wanted/],
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
    [{ additionalItems: {} }, /`additionalItems`.*prefixItems/],
    [{ contentEncoding: "base64" }, /`contentEncoding`/],
    [{ contentMediaType: "text/html" }, /`contentMediaType`/],
    [{ contentSchema: {} }, /`contentSchema`/],
    [{ $dynamicRef: "#a" }, /`\$dynamicRef`/],
    [{ $dynamicAnchor: "a" }, /`\$dynamicAnchor`/],
    [{ $recursiveRef: "#" }, /`\$recursiveRef`/],
    [{ nullable: true }, /`nullable`.*"null"/],
    [{ uniqueItems: true }, /\/uniqueItems: expected false, or items .* of an enum/],
    [{ uniqueItems: true, items: { enum: [1, 2, 3, 4, 5, 6, 7, 8, 9] } }, /at most 8 values/],
    [{ uniqueItems: 1 }, /\/uniqueItems: expected true or false/],
    [{ format: "duration" }, /\/format: expected one of date, time, .*got "duration"/],
    [{ format: "toString" }, /\/format/],
    [{ type: "number", multipleOf: 0.1 }, /\/multipleOf: expected a whole number/],
    [{ type: "number", multipleOf: 0 }, /\/multipleOf/],
    [{ multipleOf: 101 }, /\/multipleOf/],
    [{ allOf: [{ multipleOf: 11 }, { multipleOf: 13 }] }, /least common multiple of at most 100, got 143/],
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
    [{ pattern: "(?=a)" }, /\/pattern: .*lookahead/],
    [{ pattern: "(" }, /\/pattern/],
    [{ pattern: "(a|b){90}c{300}", minLength: 9000 }, /conditions that can be met at once/],
    [{ $ref: "https://example.org/schema" }, /\/\$ref: expected a place in this schema/],
    [{ $ref: "#/$defs/none" }, /\/\$ref/],
    [{ $ref: "#name" }, /\/\$ref/],
    [{ $ref: "#/%" }, /\/\$ref/],
    [{ $id: "x" }, /`\$id`/],
    [{ minLenght: 1 }, /`minLenght` — did you mean `minLength`/],
    [{ property: {} }, /did you mean `properties`/],
    [{ discriminator: {} }, /`discriminator`/],
    [{ type: "text" }, /\/type: expected null, boolean.*got "text"/],
    [{ type: [] }, /\/type/],
    [{ enum: [] }, /\/enum: expected a list of values/],
    [{ required: "a" }, /\/required: expected a list of names/],
    [{ minimum: "1" }, /\/minimum: expected a number/],
    [{ exclusiveMinimum: true }, /\/exclusiveMinimum: expected a number/],
    [{ minItems: -1 }, /\/minItems/],
    [{ items: [{}] }, /\/items: expected a schema/],
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
    [{ $ref: "#" }, /schema: expected a schema that says something of its own/],
    [{ anyOf: [{ $ref: "#" }, { type: "null" }] }, /something of its own/],
    [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, /no text fits/],
    [
      {
        allOf: Array.from({ length: 5 }, (_, i) => ({
          anyOf: Array.from({ length: 9 }, (_, j) => ({ maxLength: 10 * i + j })),
        })),
      },
      /fewer combinations/,
    ],
    [{ type: "string", minLength: 300_000 }, /more than 200000 states/],
    [{ default: 1n }, /written as JSON/],
  ])("as a whole: %o", (schema, message) => {
    expect(() => constraint(vocabulary, { schema })).toThrow(OptionError);
    expect(() => constraint(vocabulary, { schema })).toThrow(message);
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
    };
    expect(constraint(vocabulary, { schema: { ...notes, $schema: "", $id: "x", ...inside(notes) } })).toBeDefined();
  });
});
