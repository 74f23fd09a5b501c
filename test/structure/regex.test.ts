import { beforeAll, describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { accepts, constraint, randomAnswer, tinyVocabulary, type Vocabulary } from "../support/constrained.js";
import { random } from "../support/random.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

/** Texts that expressions tell apart. */
const TEXTS = [
  ...["", "a", "b", "ab", "abab", "abc", "aabb", "A", "Z", "_", "-", "0", "7", "12", "123-4567", "2024-02-29"],
  ...[
    " ",
    "\t",
    "\n",
    "\r",
    "\u2028",
    "\u00a0",
    "\ufeff",
    "é",
    "ß",
    "Ä",
    "日本",
    "😀",
    "😀😀",
    "a.b",
    "a\nb",
    "x^y",
    "$5",
    "\\",
    '"',
    "]",
    "/",
    "\u0000",
  ],
];

const EXPRESSIONS = [
  ...[
    "",
    "a*b*",
    "(?:ab)+",
    "a|b|abc",
    "[a-c]{2,3}",
    "[^a-z]",
    "[^]",
    ".",
    ".*",
    "\\d+",
    "\\D",
    "\\w+",
    "\\W",
    "\\s",
    "\\S+",
  ],
  ...[
    "(\\d{3})-(\\d{4})",
    "(?<year>\\d{4})-\\d\\d-\\d\\d",
    "^a|b$",
    "^(?:a|b)$",
    "^(?:(?:^a)|b$)",
    "[\\s\\S]*",
    "[\\d_-]",
    '[\\]\\\\"/]',
  ],
  ...[
    "\\u{1F600}+",
    "\\ud83d\\ude00",
    "[\\u{1F600}-\\u{1F64F}é]",
    "\\p{L}+",
    "\\P{L}+",
    "\\p{Script=Han}{2}",
    "[^\\p{L}\\d]",
    "\\x41|\\u005f",
  ],
  ...[
    "\\0",
    "[\\b]",
    "\\cJ",
    "\\t|\\n",
    "a?b??a*?",
    "(a|b)*c",
    "(?:a{0}b){1,2}",
    "\\$\\d|x\\^y|a\\.b",
    "(?:)*",
    "(a*)*",
    "(?:a|)+b?",
  ],
];

describe("a regular expression", () => {
  it.each(EXPRESSIONS)("%j allows what RegExp matches", (regex) => {
    const whole = new RegExp(`^(?:${regex})$`, "u");
    const wrong = TEXTS.filter((text) => accepts(vocabulary, { regex }, text) !== whole.test(text));
    expect(wrong).toEqual([]);
    for (let seed = 0; seed < 20; seed++) {
      const { text, ended } = randomAnswer(vocabulary, { regex }, random(seed), 30);
      expect(ended && whole.test(text), JSON.stringify(text)).toBe(true);
    }
  });

  it.each([
    ["a(b", /regex: expected a supported regular expression.*\(b/],
    ["[z-a]", /out of order/],
    ["a\\-b", /[Ii]nvalid escape/],
    ["(?:(?!b)a)*", /a lookahead in a part that repeats/],
    ["(?<!a)b", /lookbehind/],
    ["(a)\\1", /back reference/],
    ["\\k<x>(?<x>a)", /back reference/],
    ["a\\b", /word boundary/],
    ["a^b", /\^ or \$ in the middle/],
    ["(?:a|b$)c", /\^ or \$ in the middle/],
    ["(?:^a)*", /\^ or \$ in the middle/],
    ["[]", /no text fits/],
    [`${"(".repeat(20_000)}a${")".repeat(20_000)}`, /regex: expected/],
    [`${"(?:".repeat(9)}ab${"){4}".repeat(9)}`, /more than 50000 states/],
  ])("%j is refused", (regex, message) => {
    expect(() => constraint(vocabulary, { regex })).toThrow(OptionError);
    expect(() => constraint(vocabulary, { regex })).toThrow(message);
  });
});
