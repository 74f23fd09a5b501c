import { expect, test } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import { JsonFields, type JsonValue, parseJson } from "../../../src/io/text/json.js";

function faultOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
}

test.each([
  ['{\n  "a": 1,\n  "b": }', "line 3, column 8: expected a value"],
  ['{"a": 1', 'line 1, column 8: expected "," or "}", got the end of the text'],
  ['{"a": 1,}', "line 1, column 9: expected a key in double quotes"],
  ["{'a': 1}", "line 1, column 2: expected a key"],
  ['{"a" 1}', 'line 1, column 6: expected ":"'],
  ["[1 2]", 'line 1, column 4: expected "," or "]"'],
  ["[01]", 'line 1, column 3: expected "," or "]"'],
  ['["a\tb"]', "line 1, column 2: expected a closed string"],
  ['["\\x"]', "line 1, column 2: expected a closed string"],
  ["[1]\n\n x", "line 3, column 2: expected the end of the text"],
  ["", "line 1, column 1: expected a value, got the end of the text"],
  ["<!doctype html>", "line 1, column 1: expected a value"],
  ["NaN", "line 1, column 1"],
])("the fault in %j is placed", (text, words) => {
  const message = faultOf(() => parseJson(text, "config.json"));
  expect(message).toContain("config.json: ");
  expect(message).toContain(words);
});

test("repeated keys are refused where they must be unique, at every depth", () => {
  const text = '{"a": {"b": 1, "c": [{"d": 1, "d": 2}]}}';
  expect(parseJson(text, "x.json")).toEqual({ a: { b: 1, c: [{ d: 2 }] } });
  expect(faultOf(() => parseJson(text, "x.json", { uniqueKeys: true }))).toContain(
    'column 31: expected every key once, got "d"',
  );
  // The same key in different objects is not a repetition.
  expect(parseJson('{"a": {"a": [{"a": 1}, {"a": 2}]}}', "x.json", { uniqueKeys: true })).toBeDefined();
});

test("the walker accepts the same texts as the parser", () => {
  const text = ' { "a\\u00e9\\"" : [ -0.5e+10 , true , null , "\u007f\u0085é😀" , { } , [ ] ] } \r\n\t';
  expect(parseJson(text, "x.json", { uniqueKeys: true })).toEqual(JSON.parse(text));
});

test("nesting that would exhaust the stack is an ordinary fault", () => {
  const deep = "[".repeat(100_000);
  expect(faultOf(() => parseJson(deep, "x.json"))).toContain("column 201: expected at most 200 levels");
  // JSON.parse reads it, but nothing that calls itself could read the value.
  const closed = `{"a": ${deep}${"]".repeat(100_000)}}`;
  expect(faultOf(() => parseJson(closed, "x.json"))).toContain("column 206: expected at most 200 levels");
  const flat = `["${"[".repeat(500)}\\"${"{".repeat(500)}", ${"[],".repeat(500)} {}]`;
  expect(parseJson(flat, "x.json")).toHaveLength(502);
});

test("a long string that is not closed is an ordinary fault, and keys have a bound", () => {
  expect(faultOf(() => parseJson(`["${"a".repeat(10_000_000)}`, "x.json"))).toContain(
    "column 2: expected a closed string",
  );
  expect(faultOf(() => parseJson(`["${"\\n".repeat(5_000_000)}`, "x.json"))).toContain("column 2: expected a closed");
  const keys = '{"a": {"b": 1}, "c": 2}';
  expect(parseJson(keys, "x.json", { uniqueKeys: true, mostKeys: 3 })).toEqual({ a: { b: 1 }, c: 2 });
  expect(faultOf(() => parseJson(keys, "x.json", { uniqueKeys: true, mostKeys: 2 }))).toContain(
    "column 17: expected at most 2 keys",
  );
});

test("fields are read with defaults; null is absent", () => {
  const fields = new JsonFields({ one: 1, nothing: null, inner: { half: 0.5 } }, "config.json");
  expect(fields.count("one")).toBe(1);
  expect(fields.count("nothing", 7)).toBe(7);
  expect(fields.has("nothing")).toBe(false);
  expect(fields.get("toString")).toBeUndefined();
  expect(fields.object("inner")?.positive("half")).toBe(0.5);
  expect(fields.object("absent")).toBeUndefined();
});

test.each<[string, JsonValue, (fields: JsonFields) => unknown]>([
  ["a positive whole number", "12", (fields) => fields.count("x")],
  ["a positive whole number", 0, (fields) => fields.count("x")],
  ["a positive whole number", 1.5, (fields) => fields.count("x")],
  ["a whole number from 0", -1, (fields) => fields.id("x")],
  ["a number over 0", 0, (fields) => fields.positive("x")],
  ["true or false", "true", (fields) => fields.boolean("x", false)],
  ["a text", 1, (fields) => fields.text("x")],
  ['"a" or "b"', "c", (fields) => fields.only("x", "a", "b")],
  ["an object", [], (fields) => fields.object("x")],
])("a field that is not %s is refused by its path: %j", (expected, value, read) => {
  const fields = new JsonFields({ inner: { x: value } }, "config.json").object("inner")!;
  const message = faultOf(() => read(fields));
  expect(message).toContain(`config.json: inner.x: expected ${expected}, got ${JSON.stringify(value)}`);
});
