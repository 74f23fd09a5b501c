import { expect, test } from "vitest";
import { ForeignLines } from "../../src/cli/quiet.js";

const WARNINGS = `Warning: vkCreateInstance failed with VK_ERROR_INCOMPATIBLE_DRIVER
    at CheckVkSuccessImpl (/somewhere/VulkanError.cpp:106)

`;

/** What is left of text that comes in pieces of `size` characters. */
function filtered(text: string, size: number): string {
  const filter = new ForeignLines();
  let kept = "";
  for (let at = 0; at < text.length; at += size) kept += filter.keep(text.slice(at, at + size));
  return kept + filter.end();
}

test.each([1, 2, 7, 1000])("foreign lines are filtered and all others pass, in pieces of %d", (size) => {
  const own = "ocellus: x: expected a, got b\n    at run (commands.js:1)\n\nWarm\nMESSAGE\n(node:1) Warning: c\n";
  const text = `${WARNINGS}Loading\n${WARNINGS}${own}MESA: error: x\n\r1 of 2\r2 of 2\nWARNING: lavapipe is not conformant\nend`;
  expect(filtered(text, size)).toBe(`Loading\n${own}\r1 of 2\r2 of 2\nend`);
});

test("the beginning of a line is shown at once, unless it may become a foreign one", () => {
  const filter = new ForeignLines();
  expect(filter.keep("\r\x1b[2Kloading 3 of 4")).toBe("\r\x1b[2Kloading 3 of 4");
  expect(filter.keep(" Warning: no\n")).toBe(" Warning: no\n");
  expect(filter.keep("Warn")).toBe("");
  expect(filter.keep("ed\n")).toBe("Warned\n");
  expect(filter.keep("Warn")).toBe("");
  expect(filter.end()).toBe("Warn");
});
