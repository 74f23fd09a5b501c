import { expect, it } from "vitest";
import { alternatives, END, START } from "../../src/structure/anchors.js";
import { Machine } from "../../src/structure/machine.js";
import { choice, optional, type Pattern, repeat, sequence, text } from "../../src/structure/pattern.js";
import { reads } from "../support/machine-reads.js";

const [a, b, c] = ["a", "b", "c"].map(text) as [Pattern, Pattern, Pattern];

/** Anchors of the alternatives, and which of some texts are their bodies. */
function shown(pattern: Pattern): string[] | undefined {
  return alternatives(pattern)?.map(({ start, end, body }) => {
    const machine = new Machine(body);
    const bodies = ["", "a", "b", "c", "ab", "bc", "abc"].filter((one) => reads(machine, one));
    return `${start ? "^" : ""}${bodies.join("|")}${end ? "$" : ""}`;
  });
}

it.each<[string, Pattern, string[]]>([
  ["none", sequence(a, b), ["ab"]],
  ["at both ends", sequence(START, a, b, END), ["^ab$"]],
  ["twice", sequence(START, START, a, END, END), ["^a$"]],
  ["in options", choice(sequence(START, a), sequence(b, END)), ["^a", "b$"]],
  ["in some options, the others together", choice(a, sequence(START, b), c), ["^b", "a|c"]],
  ["in a group at the start", sequence(choice(sequence(START, a), b), c), ["^", "bc"]],
  ["in a group at the end", sequence(a, choice(sequence(b, END), sequence(b, c))), ["ab$", "abc"]],
  ["alone", START, ["^"]],
])("anchors %s", (_, pattern, wanted) => {
  expect(shown(pattern)).toEqual(wanted);
});

it.each<[string, Pattern]>([
  ["in the middle", sequence(a, START, b)],
  ["an end before more", sequence(a, END, b)],
  ["in a part that repeats", repeat(sequence(START, a), 1, 3)],
  ["in an optional part", sequence(optional(START), a)],
  ["an end at the start of a group", sequence(choice(sequence(END, a), b), c)],
])("anchors %s are not followed", (_, pattern) => {
  expect(alternatives(pattern)).toBeUndefined();
});
