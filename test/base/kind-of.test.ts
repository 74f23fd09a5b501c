import { expect, test } from "vitest";
import { kindOf, unwrapping } from "../../src/base/kind-of.js";

test.each<[unknown, string]>([
  [undefined, "undefined"],
  [null, "null"],
  [42, "42"],
  ["", "an empty text"],
  ["x", "a text"],
  [[], "an array"],
  [{ url: 1, b: 2 }, "an object with the keys url, b"],
  [{}, "an object with no keys"],
  [new Map(), "a Map"],
  [Promise.resolve(), "a Promise"],
  [new Error("x"), "an Error"],
  [() => 1, "a function"],
  [Symbol("x"), "a symbol"],
])("%s", (value, kind) => {
  expect(kindOf(value)).toBe(kind);
});

test("what holds the value says how to get it", () => {
  expect(unwrapping(Promise.resolve())).toBe("await it first");
  expect(unwrapping(new Response("x"))).toContain("await response.blob()");
  expect(unwrapping(new ReadableStream())).toContain("new Response(stream)");
  for (const value of [undefined, null, {}, [], "x", 4]) expect(unwrapping(value)).toBeUndefined();
});
