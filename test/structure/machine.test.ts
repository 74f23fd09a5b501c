import { expect, it } from "vitest";
import { PatternFault } from "../../src/structure/fault.js";
import { parseGrammar } from "../../src/structure/grammar.js";
import { Machine, type State } from "../../src/structure/machine.js";
import { choice, optional, Rule, repeat, sequence, text } from "../../src/structure/pattern.js";
import { wholeMatch } from "../../src/structure/regex.js";
import { reads } from "../support/machine-reads.js";

const after = (machine: Machine, read: string): State | null => {
  let state: State | null = machine.start;
  for (const byte of new TextEncoder().encode(read)) state = state && machine.step(state, byte);
  return state;
};

it("reads the bytes of a pattern's texts, and says where one may end and how many bytes are left at least", () => {
  const machine = new Machine(sequence(text("é"), optional(text("abc")), choice(text("x"), text("yz"))));
  expect([machine.start.complete, machine.start.cost]).toEqual([false, 3]);
  expect(after(machine, "éa")?.cost).toBe(3);
  expect(after(machine, "éabcyz")).toMatchObject({ complete: true, cost: 0 });
  expect(after(machine, "éb")).toBeNull();
  expect(machine.step(machine.start, 0xc4)).toBeNull();
});

it("a byte that leads to the same places leads to the same state", () => {
  const machine = new Machine(wholeMatch("[a-y]*z", "regex"));
  const [a, b, z] = ["a", "b", "z"].map((one) => after(machine, one));
  expect(a).toBe(b);
  expect(after(machine, "abab")).toBe(a);
  expect(z).not.toBe(a);
  // Bytes of one range are known together.
  expect(machine.start.next[0x79]).toBe(a);
});

it("rules call themselves, and nested texts end where all are closed", () => {
  const machine = new Machine(parseGrammar('root ::= "(" root* ")"'));
  for (const right of ["()", "(()())", `${"(".repeat(500)}${")".repeat(500)}`])
    expect(reads(machine, right)).toBe(true);
  for (const wrong of ["", "(", "())", "()()"]) expect(reads(machine, wrong)).toBe(false);
  expect(after(machine, "((((")?.cost).toBe(4);
});

it("the shortest completion is found byte by byte", () => {
  const machine = new Machine(wholeMatch("a{3}(?:b{9}|c(?:d|ee))", "regex"));
  let [state, written] = [machine.start, ""];
  for (let byte = machine.shortest(state); byte !== undefined; byte = machine.shortest(state)) {
    written += String.fromCharCode(byte);
    state = machine.step(state, byte)!;
  }
  expect(written).toBe("aaacd");
  expect(state.complete).toBe(true);
});

it("right recursion stays in one state, however long the text", () => {
  const list = new Rule("list");
  list.body = choice(text("."), sequence(text("a"), list));
  const machine = new Machine(list);
  expect(after(machine, "a".repeat(1000))).toBe(after(machine, "a"));
});

it("a text that can be read in more than a thousand ways at once is a fault", () => {
  const ways = (count: number) =>
    choice(...Array.from({ length: count }, (_, i) => repeat(wholeMatch("[a-z]", ""), 5 + i, 6 + i)));
  expect(() => new Machine(ways(1100))).toThrow(PatternFault);
  expect(reads(new Machine(ways(3)), "abcdefgh")).toBe(true);
});

it("says which byte must come next, where there is one", () => {
  const machine = new Machine(sequence(text("ab"), choice(text("x"), text("yz")), optional(text("!"))));
  const only = (read: string) => machine.only(after(machine, read)!);
  expect([only(""), only("a"), only("ab")]).toEqual([0x61, 0x62, undefined]);
  expect(only("aby")).toBe(0x7a);
  // The text may end, or go on.
  expect(only("abyz")).toBeUndefined();
});
