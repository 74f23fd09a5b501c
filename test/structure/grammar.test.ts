import { beforeAll, describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { accepts, constraint, randomAnswer, tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { random } from "../support/random.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

const SUMS = `
# Sums, as a person writes them.
root ::= sum
sum  ::= term (ws [+\\-] ws term)*   # the least binding
term ::= factor
  | factor ws ("*" | '/') ws term
factor ::= [0-9]+ ("." [0-9]{1,2})? | "(" sum ")"
ws ::= " "?
`;

describe("a grammar", () => {
  it.each<[string, string, readonly string[], readonly string[]]>([
    ["of sums", SUMS, ["1", "1+2", "1 - 2*3", "(1+2)*(3)", "1.25/4"], ["", "1+", "(1", "1..2", "1.234", "1  + 2", "a"]],
    [
      "of counts",
      'root ::= "a"{2} "b"{1,} "c"{0,2} "d"? "e"+ [f]*',
      ["aabe", "aabbccdeefff"],
      ["abe", "aae", "aabcccde", "aabd"],
    ],
    [
      "of escapes",
      'root ::= "\\n\\t\\"\\\\\\x41\\u00e9\\U0001F600" [\\]^\\-\\\\] [^a-z\\]] .',
      ['\n\t"\\Aé😀]ZQ', '\n\t"\\Aé😀-é\n'],
      ['\n\t"\\Aé😀]aQ', '\n\t"\\Aé😀]]Q'],
    ],
    ["with quotes of both kinds", `root ::= "it's" | 'a "b"' | ""`, ["it's", 'a "b"', ""], ["its"]],
    ["on several lines", 'root ::=\n  "a"\n  b-1\n  | "c"\n\nb-1 ::= # nothing but\n"b"', ["ab", "c"], ["a", "bc"]],
    ["that recurs on the right", 'root ::= "x" root | "y"', ["y", "xxxy"], ["x"]],
    ["that recurs in the middle", 'root ::= "(" root ")" | ""', ["", "((()))"], ["(()", "())"]],
    ["with a part that never ends", 'root ::= "a" | "b" loop\nloop ::= "x" loop', ["a"], ["b", "bx"]],
    ["that can be read in two ways", 'root ::= (a | b)* \na ::= "x"\nb ::= "x" "x"?', ["", "xxxxx"], ["y"]],
  ])("%s", (_, grammar, right, wrong) => {
    for (const text of right) expect(accepts(vocabulary, { grammar }, text), text).toBe(true);
    for (const text of wrong) expect(accepts(vocabulary, { grammar }, text), text).toBe(false);
    for (let seed = 0; seed < 20; seed++) {
      const { text, ended } = randomAnswer(vocabulary, { grammar }, random(seed), 40);
      expect(ended && accepts(vocabulary, { grammar }, text), text).toBe(true);
    }
  });

  it("writes sums that can be computed", () => {
    for (let seed = 0; seed < 100; seed++) {
      const { text } = randomAnswer(vocabulary, { grammar: SUMS }, random(seed), 48);
      expect(text).toMatch(/^[\d.()+\-*/ ]+$/);
      // Numbers of JavaScript may not begin with zeros.
      const value: unknown = new Function(`return ${text.replace(/(?<![\d.])0+(?=\d)/g, "")}`)();
      expect(value, text).toBeTypeOf("number");
    }
  });

  it.each([
    ["", /a rule `root`/],
    ['start ::= "a"', /a rule `root`/],
    ["root = 'a'", /line 1, column 1: expected a rule, name ::=/],
    ['root ::= "a"\nroot ::= "b"', /line 2, column 1: expected one rule of each name/],
    ["root ::= itm\nitem ::= 'a'", /line 1, column 10.*`itm` — did you mean `item`/],
    ['root ::= "a', /line 1, column 10: expected `"` in the same line/],
    ["root ::= [a", /line 1, column 10: expected `\]`/],
    ["root ::= ('a'", /expected `\)`, got its end/],
    ["root ::= 'a' |", /expected a part, got its end — write ""/],
    ["root ::= 'a'{2", /\{m,n\}, got \{2/],
    ["root ::= 'a'{3,2}", /\{m,n\}, got \{3,2\}/],
    ["root ::= '\\q'", /expected an escape.*got \\q/],
    ["root ::= [z-a]", /a range upwards, got z-a/],
    ["root ::= 'a' )", /got "\)"/],
    ["root ::= root 'a' | 'b'", /root begins with itself/],
    ["root ::= a\na ::= b? c\nb ::= 'x'\nc ::= a | 'y'", /begins with itself/],
    ["root ::= 'a' root", /no text fits/],
  ])("%j is refused", (grammar, message) => {
    expect(() => constraint(vocabulary, { grammar })).toThrow(OptionError);
    expect(() => constraint(vocabulary, { grammar })).toThrow(message);
  });

  it("that can be read in thousands of ways is refused while it is read", () => {
    const one = constraint(vocabulary, { grammar: 'root ::= "x" root "x" | "x" root "y" | "x" (root root)? | "x"' });
    const mask = new Uint32Array(20);
    const x = vocabulary.tokenizer.idOf("x")!;
    expect(() => {
      for (let i = 0; i < 40; i++) {
        one.allow(mask, 1000);
        one.accept(x);
      }
    }).toThrow(OptionError);
  });
});
