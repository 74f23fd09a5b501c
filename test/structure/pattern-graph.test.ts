import { expect, it } from "vitest";
import { PatternFault } from "../../src/structure/fault.js";
import {
  choice,
  EMPTY,
  NEVER,
  optional,
  type Pattern,
  Rule,
  repeat,
  sequence,
  text,
} from "../../src/structure/pattern.js";
import { PatternGraph } from "../../src/structure/pattern-graph.js";
import { wholeMatch } from "../../src/structure/regex.js";
import { atOnce } from "../../src/structure/time-slices.js";

const graphOf = (pattern: Pattern) => atOnce(PatternGraph.of(pattern));
const rule = (body: (self: Rule) => Pattern): Rule => {
  const made = new Rule("root");
  made.body = body(made);
  return made;
};

it.each<[string, Pattern, number]>([
  ["the empty text", EMPTY, 0],
  ["a character of three bytes", text("日"), 3],
  ["options", choice(text("abc"), text("d")), 1],
  ["a repetition with a counter", repeat(text("ab"), 1000, 2000), 2000],
  ["a rule that calls itself", rule((self) => choice(text("xyz"), sequence(text("a"), self))), 3],
])("the cost of %s is its fewest bytes", (_, pattern, bytes) => {
  expect(graphOf(pattern).root.cost).toBe(bytes);
});

it.each<[string, Pattern, RegExp]>([
  ["nothing", NEVER, /one that no text fits/],
  ["a rule without an end", rule((self) => sequence(text("a"), self)), /one that no text fits/],
  [
    "a rule that begins with itself",
    rule((self) => choice(text("a"), sequence(self, text("b")))),
    /left recursion|begins with itself/,
  ],
  [
    "a rule that begins with itself after nothing",
    rule((self) => choice(text("a"), sequence(optional(text("c")), self))),
    /left recursion|begins with itself/,
  ],
  ["too many states", wholeMatch(`${"(?:".repeat(9)}ab${"){4}".repeat(9)}`, ""), /more than 50000 states/],
])("%s is a fault", (_, pattern, message) => {
  expect(() => graphOf(pattern)).toThrow(PatternFault);
  expect(() => graphOf(pattern)).toThrow(message);
});
