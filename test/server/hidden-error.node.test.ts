import { expect, test } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { hiddenError } from "../../src/server/hidden-error.js";

test("the stack is apart from the message, which may have several lines", () => {
  const { name, message, stack, known } = hiddenError(new TypeError("one\nsecret"));
  expect([name, message, known]).toEqual(["TypeError", "one\nsecret", false]);
  expect(stack).toMatch(/^ {4}at .*hidden-error/);
  expect(stack).not.toContain("secret");
});

test("errors of Ocellus are known; what is no error has a message", () => {
  const fault = { where: "a", expected: "b", got: "c", remedy: "d" };
  expect(hiddenError(new OptionError(fault)).known).toBe(true);
  expect(hiddenError("thrown")).toMatchObject({ name: "Error", message: "thrown", known: false });
});
