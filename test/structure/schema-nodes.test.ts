import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { kindsOf, SchemaNodes } from "../../src/structure/schema-nodes.js";

it("a subschema has its path, and is the same node each time", () => {
  const schemas = new SchemaNodes({
    properties: { "a/b": { anyOf: [{}, { type: "null" }] } },
    items: { type: "string" },
  });
  const property = schemas.named(schemas.root, "properties").get("a/b")!;
  expect(property.path).toBe("/properties/a~1b");
  expect(schemas.list(property, "anyOf").map(({ path }) => path)).toEqual([
    "/properties/a~1b/anyOf/0",
    "/properties/a~1b/anyOf/1",
  ]);
  expect(schemas.one(schemas.root, "items")).toBe(schemas.one(schemas.root, "items"));
  expect(schemas.one(schemas.root, "contains")).toBeUndefined();
  expect(schemas.list(schemas.root, "allOf")).toEqual([]);
});

it("all that must hold of a value is found through allOf and $ref, once each", () => {
  const schemas = new SchemaNodes({
    allOf: [{ $ref: "#/$defs/a" }, { minLength: 1, allOf: [{ $ref: "#/$defs/a" }] }],
    $defs: { a: { type: "string" } },
  });
  const found = schemas.all([schemas.root]).map(({ keywords }) => Object.keys(keywords).join());
  expect(found.sort()).toEqual(["$ref", "$ref", "allOf,$defs", "minLength,allOf", "type"].sort());
});

describe("keywords of other versions", () => {
  it.each<[string, object, object]>([
    ["a tuple", { items: [{}, true], additionalItems: false }, { prefixItems: [{}, true], items: false }],
    ["a tuple with more", { items: [{}] }, { prefixItems: [{}] }],
    ["an exclusive minimum", { minimum: 1, exclusiveMinimum: true }, { minimum: 1, exclusiveMinimum: 1 }],
    ["a maximum that is not exclusive", { maximum: 1, exclusiveMaximum: false }, { maximum: 1 }],
    ["nullable with a type", { type: "string", nullable: true }, { type: ["string", "null"] }],
    ["nullable with values", { enum: ["a"], nullable: true }, { anyOf: [{ enum: ["a"] }, { type: "null" }] }],
    ["nullable that is false", { type: "string", nullable: false }, { type: "string" }],
  ])("%s", (_, given, modern) => {
    expect(new SchemaNodes(given).root.keywords).toEqual(modern);
  });
});

it.each<[object | boolean, string]>([
  [{}, "null,boolean,object,array,string,integer,fraction"],
  [{ type: "number" }, "integer,fraction"],
  [{ type: ["integer", "null"] }, "null,integer"],
  [{ allOf: [{ type: ["string", "number"] }, { type: "integer" }] }, "integer"],
])("%j has values of the kinds %s", (schema, kinds) => {
  const schemas = new SchemaNodes(schema);
  expect([...kindsOf(schemas.all([schemas.root]))].join()).toBe(kinds);
});

it("false, and not with anything, match nothing", () => {
  expect([false, { not: {} }, { not: true }, { not: false }, {}].map((one) => new SchemaNodes(one).root.never)).toEqual(
    [true, true, true, false, false],
  );
});

it("a circle of references is refused with its place", () => {
  const schemas = new SchemaNodes({ $ref: "#/$defs/a", $defs: { a: { allOf: [{ $ref: "#" }] } } });
  expect(() => schemas.all([schemas.root])).toThrow(OptionError);
  expect(() => schemas.all([schemas.root])).toThrow(/expected a schema with conditions of its own/);
});

it("a node without one of its keywords is another node", () => {
  const schemas = new SchemaNodes({ type: "string", anyOf: [{}] });
  const bare = schemas.without(schemas.root, "anyOf");
  expect(bare.keywords).toEqual({ type: "string" });
  expect(bare.id).not.toBe(schemas.root.id);
  expect(schemas.list(bare, "anyOf")).toEqual([]);
});
