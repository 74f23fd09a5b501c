import { describe, expect, it } from "vitest";
import { Machine } from "../../src/structure/machine.js";
import { schemaPattern } from "../../src/structure/schema.js";
import { readFixture } from "../support/fixture.js";
import { reads } from "../support/machine-reads.js";

interface Written {
  readonly name: string;
  readonly schema: object;
  readonly valid: readonly unknown[];
  readonly invalid: readonly unknown[];
}
const WRITTEN = JSON.parse(new TextDecoder().decode(await readFixture("schemas/written.json"))) as readonly Written[];

const taken = (schema: object, values: readonly unknown[]): boolean[] => {
  const machine = new Machine(schemaPattern(schema));
  return values.map((value) => reads(machine, JSON.stringify(value)));
};

describe("schemas as libraries write them", () => {
  it.each(WRITTEN)("$name", ({ schema, valid, invalid }) => {
    expect({ valid: taken(schema, valid), invalid: taken(schema, invalid) }).toEqual({
      valid: valid.map(() => true),
      invalid: invalid.map(() => false),
    });
  });
});

describe("forms of other versions", () => {
  const EMAIL =
    "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$";
  const LINKED = {
    $id: "https://a.example/root.json",
    type: "object",
    properties: { a: { $ref: "part.json" }, b: { $ref: "#/$defs/part/$defs/n" }, c: { $ref: "part.json#num" } },
    $defs: {
      part: {
        $id: "part.json",
        type: "array",
        items: { $ref: "#/$defs/n" },
        $defs: { n: { $anchor: "num", type: "integer" } },
      },
    },
  };
  it.each<[string, object, readonly unknown[], readonly unknown[]]>([
    [
      "an email of zod 4.0 with its length",
      { type: "string", format: "email", pattern: EMAIL, maxLength: 254 },
      ["a.b@example.com", `${"a".repeat(200)}@example.com`],
      [".a@example.com", "a..b@example.com", "a@b", `${"a".repeat(250)}@example.com`],
    ],
    [
      "a Decimal of pydantic 2.10",
      { anyOf: [{ type: "number" }, { type: "string", pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$" }] },
      [1.5, "1.50", "-3", ".5"],
      ["", "-", ".", "+.", "a"],
    ],
    [
      "a duration of zod, with lookaheads within groups",
      {
        type: "string",
        pattern:
          "^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$",
      },
      ["P3W", "P1DT2H", "PT1M"],
      ["P", "P1DT", "P1W2D", "PT"],
    ],
    [
      "a hostname of zod",
      { type: "string", pattern: "^(?=.{1,20}\\.?$)[a-z]+(?:\\.[a-z]+)*\\.?$" },
      ["a.example", "a."],
      [`${"a".repeat(22)}`, ""],
    ],
    [
      "a reference of TypeBox",
      { $id: "T0", type: "object", properties: { n: { type: "array", items: { $ref: "T0" } } } },
      [{ n: [{ n: [] }] }],
      [{ n: [1] }],
    ],
    ["$id and $anchor within", LINKED, [{ a: [1], b: 2, c: 3 }], [{ a: ["x"] }, { b: "x" }, { c: [] }]],
    [
      "an anchor of draft 7",
      { properties: { a: { $ref: "#x" } }, definitions: { q: { $id: "#x", type: "null" } } },
      [{ a: null }],
      [{ a: 1 }],
    ],
    [
      "a tuple of draft 7",
      { type: "array", items: [{ type: "null" }, { type: "integer" }], additionalItems: false },
      [[null], [null, 1]],
      [[1], [null, 1, 2]],
    ],
    [
      "limits of OpenAPI 3.0",
      { type: "number", minimum: 0, exclusiveMinimum: true, maximum: 9, exclusiveMaximum: false },
      [0.5, 9],
      [0, 10],
    ],
    ["nullable", { type: "string", enum: ["a"], nullable: true }, ["a", null], ["b"]],
    [
      "nullable beside allOf",
      { allOf: [{ $ref: "#/$defs/n" }], nullable: true, $defs: { n: { type: "integer" } } },
      [1, null],
      ["x"],
    ],
    ["int32", { type: "integer", format: "int32" }, [2147483647, -2147483648], [2147483648]],
    ["multiples of fractions", { type: "number", multipleOf: 0.05, minimum: 0 }, [0.05, 12.9, 3], [0.07, 12.99, 0.055]],
    ["never", { type: "object", properties: { a: { not: {} }, b: { type: "null" } } }, [{}, { b: null }], [{ a: 1 }]],
    ["an unknown format", { type: "string", format: "color" }, ["#fff"], [1]],
    [
      "a oneOf whose options are unions",
      { oneOf: [{ anyOf: [{ const: 1 }, { type: "string" }] }, { type: "null" }] },
      [1, "x", null],
      [2],
    ],
  ])("%s", (_, schema, valid, invalid) => {
    expect(taken(schema, valid)).toEqual(valid.map(() => true));
    expect(taken(schema, invalid)).toEqual(invalid.map(() => false));
  });
});
