import { expect, it } from "vitest";
import { printableAscii } from "../../../src/io/bytes/printable-ascii.js";

it("escapes what could steer a terminal or break a line, and leaves the rest", () => {
  expect(printableAscii("avc1 ~")).toBe("avc1 ~");
  expect(printableAscii("\x1b[2J")).toBe("\\x1b[2J");
  expect(printableAscii("\0\n\x7f\x9b\xa9")).toBe("\\x00\\x0a\\x7f\\x9b\\xa9");
  expect(printableAscii("\u202e\u{1f600}")).toBe("\\u202e\\ud83d\\ude00");
});
