import { describe, expect, it } from "vitest";
import { parseGrammar } from "../../src/structure/grammar.js";
import { Machine } from "../../src/structure/machine.js";

describe("the shortest way", () => {
  it.each<[string, number]>([
    ['root ::= "abc" | "de" | "fghi"', 2],
    ['root ::= "(" root ")" | "x"', 1],
    ['root ::= a a\na ::= "[" b "]"\nb ::= a | "1" | "22"', 6],
    ['root ::= ("ab" | "c"){100,} "é"', 102],
    ['root ::= "a"* "b"?', 0],
  ])("of %s has %d bytes", (grammar, bytes) => {
    expect(new Machine(parseGrammar(grammar)).start.cost).toBe(bytes);
  });

  it("is that of the byte that is taken", () => {
    const machine = new Machine(parseGrammar('root ::= "a" "bbbb" | "cd"'));
    expect(machine.step(machine.start, 0x61)!.cost).toBe(4);
    expect(machine.shortest(machine.start)).toBe(0x63);
  });
});
