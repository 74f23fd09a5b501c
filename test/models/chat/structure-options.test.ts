import { expect, test } from "vitest";
import { z } from "zod";
import { plainStructure } from "../../../src/models/chat/structure-options.js";

// Structures as callers write them: what is data stays, objects of schema libraries are converted or refused with the function to call.

const schemaOf = (schema: object) => plainStructure("here", { schema }).schema;

test("a JSON schema, true and a grammar stay as they are", () => {
  const schema = { type: "object", properties: { safeParse: {} } };
  expect(schemaOf(schema)).toBe(schema);
  expect(plainStructure("here", { schema: true })).toEqual({ schema: true });
  expect(plainStructure("here", { grammar: 'root ::= "a"' })).toEqual({ grammar: 'root ::= "a"' });
  expect(plainStructure("here", {})).toEqual({});
});

test("zod's schemas are converted, as what goes into them", () => {
  const schema = z.object({ n: z.coerce.number().int().default(3), s: z.string().transform((text) => text.length) });
  expect(schemaOf(schema)).toMatchObject({ type: "object", required: ["s"], properties: { s: { type: "string" } } });
  expect(() => schemaOf(z.object({ at: z.date() }))).toThrow(/here, schema: .*zod.*leave out dates/);
});

test("objects that offer Standard JSON Schema are converted, with an older draft if the newer one is refused", () => {
  const targets: string[] = [];
  const input = ({ target }: { target: string }) => {
    targets.push(target);
    if (target !== "draft-07") throw new Error("unknown target");
    return { type: "string" };
  };
  const schema = { "~standard": { version: 1, vendor: "other", validate: () => ({}), jsonSchema: { input } } };
  expect(schemaOf(schema)).toEqual({ type: "string" });
  expect(targets).toEqual(["draft-2020-12", "draft-07"]);
  // Functions can be schemas, as arktype's are.
  const callable = Object.assign(() => {}, {
    "~standard": { version: 1, vendor: "arktype", validate: () => ({}) },
    toJsonSchema: () => ({ const: 5 }),
  });
  expect(schemaOf(callable)).toEqual({ const: 5 });
});

test("others are refused with the function that converts them", () => {
  const standard = (vendor: string) => ({ "~standard": { version: 1, vendor, validate: () => ({}) }, type: "object" });
  expect(() => schemaOf(standard("valibot"))).toThrow("@valibot/to-json-schema");
  expect(() => schemaOf(standard("zod"))).toThrow("zodToJsonSchema");
  expect(() => schemaOf(standard("mine"))).toThrow("convert it to JSON Schema with its library");
  expect(() => schemaOf({ _def: {}, safeParse: () => ({}) })).toThrow("zodToJsonSchema");
  expect(() => schemaOf({ jsonSchema: {}, validate: undefined })).toThrow("pass its property jsonSchema");
  expect(() => schemaOf(() => {})).toThrow("got a function");
});

test("expressions keep their source; flags that change what they match are refused with what to write", () => {
  const regexOf = (regex: RegExp) => plainStructure("here", { regex }).regex;
  expect(regexOf(/Yes|No/)).toBe("Yes|No");
  expect(regexOf(/a\d+/dguy)).toBe("a\\d+");
  expect(() => regexOf(/yes/i)).toThrow(
    "here, regex: expected a regular expression without flags, or with u, got /yes/i",
  );
  expect(() => regexOf(/a.b/s)).toThrow("[\\s\\S]");
  expect(() => regexOf(/^a$/m)).toThrow("the whole answer is matched");
});
