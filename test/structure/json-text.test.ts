import { expect, it } from "vitest";
import { ANY, codePoints } from "../../src/structure/code-points.js";
import { literal, member, stringChar, stringContent } from "../../src/structure/json-text.js";
import { Machine } from "../../src/structure/machine.js";
import { chars, choice, optional, type Pattern, Rule, repeat, sequence, text } from "../../src/structure/pattern.js";
import { reads } from "../support/machine-reads.js";

/** Those of the texts that a pattern has. */
function among(pattern: Pattern, texts: readonly string[]): string[] {
  const machine = new Machine(pattern);
  return texts.filter((one) => reads(machine, one));
}

it("a character is written as JSON.stringify does, in one spelling", () => {
  const machine = new Machine(stringChar(ANY));
  for (const char of ["a", "é", "😀", "/", "\u007f", "\n", "\u0001", "\b", '"', "\\", "\u2028"]) {
    expect(reads(machine, JSON.stringify(char).slice(1, -1)), JSON.stringify(char)).toBe(true);
  }
  for (const other of ["", "\n", '"', "\\", "\\/", "\\u00e9", "\\u000a", "\\U0001", "ab"]) {
    expect(reads(machine, other), JSON.stringify(other)).toBe(false);
  }
  expect(among(stringChar(codePoints([[0x09, 0x0a]])), ["\\t", "\\n", "\\r", "\t"])).toEqual(["\\t", "\\n"]);
});

it("the content of a string is escaped in all its parts", () => {
  const content = sequence(optional(text('"')), choice(text("a"), repeat(chars([[0x5c, 0x5c]]), 1, 2)));
  expect(among(stringContent(content), ['\\"a', "a", "\\\\", '\\"\\\\\\\\', '"a', "\\", ""])).toEqual([
    '\\"a',
    "a",
    "\\\\",
    '\\"\\\\\\\\',
  ]);
  expect(() => stringContent(new Rule("a"))).toThrow("a rule within a string");
});

it("a value is written without white space, or with a space after commas and colons", () => {
  const value = { a: [1, null, "x\n"], b: {}, c: [] };
  const compact = JSON.stringify(value);
  expect(
    among(literal(value), [
      compact,
      compact.replaceAll(",", ", ").replaceAll(":", ": "),
      '{"a": [1,null,"x\\n"],"b":{}, "c":[]}',
      JSON.stringify(value, undefined, 1),
      compact.replace("[]", "[ ]"),
      compact.replace(":{}", ":  {}"),
      JSON.stringify({ b: {}, a: [1, null, "x\n"], c: [] }),
    ]),
  ).toHaveLength(3);
  expect(among(member('"', literal(-1.5)), ['"\\"":-1.5', '"\\"": -1.5', '""":-1.5'])).toHaveLength(2);
});
