import { expect, test } from "vitest";
import { CheckpointError, KernelError, printable, shown } from "../../src/base/errors.js";
import * as errors from "../../src/errors.js";
import { RequestError } from "../../src/openai/api-error.js";

const fault = { where: "a\u001b[31m.json", expected: "x\r\ny", got: "\u009b2J\u202ecba\ud800", remedy: "none" };

test("what would steer a terminal is escaped in every part", () => {
  const error = new CheckpointError(fault);
  expect(error.message).toBe("a\\u001b[31m.json: expected x\\r\\ny, got \\u009b2J\\u202ecba\\ud800 — none");
  expect(error.fault.where).toBe("a\\u001b[31m.json");
  // Errors that cross to a page are made a second time there.
  expect(new CheckpointError(error.fault).message).toBe(error.message);
  expect(new KernelError({ ...fault, got: "line 1\nline 2" }).message).toContain("line 1\nline 2");
  expect(printable("Grüße, 世界 👩‍👩‍👧")).toBe("Grüße, 世界 👩‍👩‍👧");
});

test("long parts are truncated in the middle", () => {
  const { message } = new CheckpointError({ ...fault, where: `${"x".repeat(1e6)}/config.json` });
  expect(message.length).toBeLessThan(3000);
  expect(message).toContain("…");
  expect(message).toContain("/config.json: expected");
});

test.each<[unknown, string]>([
  [undefined, "none"],
  [null, "null"],
  ["3", '"3"'],
  [3, "3"],
  [2 ** 60, "1152921504606846976"],
  [1e21, "1e21"],
  [Number.NaN, "NaN"],
  [-0, "-0"],
  [0.1, "0.1"],
  [12n, "12n"],
  [[], "an empty list"],
  [["a", 1], '["a",1]'],
  [() => {}, "a function"],
  [new Uint8Array(9), "Uint8Array of 9 bytes"],
  [{ big: 1n }, "an object that is not JSON"],
  ["y".repeat(1e6), `"${"y".repeat(59)}…`],
])("shown(%o)", (value, text) => {
  expect(shown(value)).toBe(text);
});

type ErrorClass = new (...values: unknown[]) => Error;
const CLASSES = Object.entries<unknown>({ ...errors, RequestError })
  .filter((entry): entry is [string, ErrorClass] => typeof entry[1] === "function")
  .filter(([name]) => name !== "OcellusError");

test.each(CLASSES)("%s has its name after a minifier has renamed the class", (name, Class) => {
  class p extends Class {}
  const where = ["RequestError", "AbortedError"].includes(name) ? [name] : [];
  const error = new p(...where, fault, 1, 2);
  expect(error.name).toBe(name === "AbortedError" ? "AbortError" : name);
  expect(String(error)).toMatch(/^\w+Error: /);
});

test("the classes of errors are all tested", () => {
  expect(CLASSES.length).toBeGreaterThan(18);
});
