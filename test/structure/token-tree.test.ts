import { beforeAll, describe, expect, it } from "vitest";
import { CheckpointError } from "../../src/base/errors.js";
import { newTextDecoder } from "../../src/io/text/detokenizer.js";
import type { Structure } from "../../src/structure/constraint.js";
import { Machine } from "../../src/structure/machine.js";
import { text } from "../../src/structure/pattern.js";
import { atOnce } from "../../src/structure/time-slices.js";
import { TokenTree } from "../../src/structure/token-tree.js";
import { allowed, constraint, realVocabulary, tinyVocabulary, type Vocabulary } from "../support/constrained.js";

// Masks against what is said of each token by itself: may the bytes so far and the token's begin a right text? Bytes are written
// as characters U+0000 to U+00FF, so that plain expressions can speak of them.

interface Case {
  readonly name: string;
  readonly structure: Structure;
  /** Whether some right text begins so. */
  readonly begins: (bytes: string) => boolean;
  readonly whole: (bytes: string) => boolean;
  /** Where masks are compared. */
  readonly after: readonly string[];
}

const bytesOf = (text: string): string => String.fromCharCode(...new TextEncoder().encode(text));

/** A list of all right texts. */
function listed(texts: readonly string[]): Pick<Case, "begins" | "whole"> {
  const all = texts.map(bytesOf);
  return {
    begins: (bytes) => all.some((text) => text.startsWith(bytes)),
    whole: (bytes) => all.includes(bytes),
  };
}

const products = (...lists: readonly (readonly string[])[]): string[] =>
  lists.reduce<string[]>((texts, list) => texts.flatMap((text) => list.map((next) => text + next)), [""]);

/** One character of UTF-8, and the beginnings of one. */
const CHAR =
  "(?:[\\xc2-\\xdf][\\x80-\\xbf]|\\xe0[\\xa0-\\xbf][\\x80-\\xbf]|[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]{2}|\\xed[\\x80-\\x9f][\\x80-\\xbf]|" +
  "\\xf0[\\x90-\\xbf][\\x80-\\xbf]{2}|[\\xf1-\\xf3][\\x80-\\xbf]{3}|\\xf4[\\x80-\\x8f][\\x80-\\xbf]{2})";
const CUT =
  "(?:[\\xc2-\\xf4]|\\xe0[\\xa0-\\xbf]|[\\xe1-\\xec\\xee\\xef][\\x80-\\xbf]|\\xed[\\x80-\\x9f]|\\xf0[\\x90-\\xbf][\\x80-\\xbf]?|" +
  "[\\xf1-\\xf3][\\x80-\\xbf]{1,2}|\\xf4[\\x80-\\x8f][\\x80-\\xbf]?)";
const PLAIN = "[\\x20\\x21\\x23-\\x5b\\x5d-\\x7f]";
const ESCAPE = '\\\\(?:["\\\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))';
const CUT_ESCAPE = "\\\\(?:u(?:0(?:0[01]?)?)?)?";
const STRING = `"(?:${PLAIN}|${CHAR}|${ESCAPE})*`;

const matches = (source: string) => {
  const expression = new RegExp(`^(?:${source})$`);
  return (bytes: string) => expression.test(bytes);
};

function nesting(bytes: string): number {
  let depth = 0;
  for (const [i, byte] of [...bytes].entries()) {
    if (byte !== "(" && byte !== ")") return -1;
    depth += byte === "(" ? 1 : -1;
    if (depth < 0 || (depth === 0 && i < bytes.length - 1)) return -1;
  }
  return depth;
}

const CASES: readonly Case[] = [
  {
    name: "words whose characters tokens cut",
    structure: { regex: "(?:größe|große|gro) (?:日本|日光|😀|😁|é)!?" },
    ...listed(products(["größe", "große", "gro"], [" "], ["日本", "日光", "😀", "😁", "é"], ["", "!"])),
    after: [
      "",
      "g",
      "gr\xc3",
      "gr\xc3\xb6",
      "gro ",
      "gro \xe6",
      "gro \xe6\x97",
      bytesOf("gro 日"),
      "gro \xf0\x9f\x98",
      bytesOf("gro é"),
    ],
  },
  {
    name: "values of enum",
    structure: { schema: { enum: ["red", 're"d', "日\n", 12, 1.5, null, [1, { a: true }]] } },
    ...listed([
      ...['"red"', '"re\\"d"', '"日\\n"', "12", "1.5", "null"],
      ...products(["[1,"], ["", " "], ['{"a":'], ["", " "], ["true}]"]),
    ]),
    after: ["", '"', '"re', '"re\\', '"\xe6\x97', '"\xe6\x97\xa5\\', "1", "[1,", '[1, {"a": ', "null"],
  },
  {
    name: "an object with properties left out",
    structure: {
      schema: {
        type: "object",
        properties: { a: { const: 1 }, b: { type: "boolean" }, c: { type: "null" } },
        required: ["b"],
      },
    },
    ...listed(
      products(
        ["{"],
        ["", '"a":1,', '"a":1, ', '"a": 1,', '"a": 1, '],
        ['"b":'],
        ["", " "],
        ["true", "false"],
        [...["", ',"c":null', ', "c":null', ',"c": null', ', "c": null']],
      ).map((text) => `${text}}`),
    ),
    after: ["", "{", '{"', '{"a":1', '{"a":1, ', '{"b": ', '{"b":true', '{"b":true,', '{"b":true}'],
  },
  {
    name: "a string",
    structure: { schema: { type: "string" } },
    begins: matches(`|${STRING}(?:"|${CUT}|${CUT_ESCAPE})?`),
    whole: matches(`${STRING}"`),
    after: ["", '"', '"ab ', '"\\', '"\\u00', '"\xe2', '"\xe2\x82', '"\xed', '"\xf0', '"\xf4', '"x"'],
  },
  {
    name: "a number",
    structure: { schema: { type: "number" } },
    begins: matches("-?(?:(?:0|[1-9]\\d{0,14})(?:\\.\\d{0,14}|(?:\\.\\d{1,14})?(?:[eE][+-]?\\d{0,2})?)?)?"),
    whole: matches("-?(?:0|[1-9]\\d{0,14})(?:\\.\\d{1,14})?(?:[eE][+-]?\\d{1,2})?"),
    after: ["", "-", "0", "12", "12.", "12.5", "1e", "1e+", "1E-07", "123456789012345"],
  },
  {
    name: "brackets in brackets",
    structure: { grammar: 'root ::= "(" root* ")"' },
    begins: (bytes) => bytes === "" || nesting(bytes) >= 0,
    whole: (bytes) => bytes !== "" && nesting(bytes) === 0,
    after: ["", "(", "((", "(()", "(())", "(()())"],
  },
  {
    name: "letters of a script",
    structure: { regex: "\\p{Script=Greek}+" },
    begins: (bytes) => isGreek(bytes, true),
    whole: (bytes) => bytes !== "" && isGreek(bytes, false),
    after: ["", "\xce", "\xce\xb1", "\xe1", "\xe1\xbc"],
  },
];

/** Whether bytes are Greek letters, the last perhaps cut off where some letter goes on so. */
function isGreek(bytes: string, cut: boolean): boolean {
  const points = Array.from(bytes.matchAll(new RegExp(`${CHAR}|[\\x00-\\x7f]`, "gy")), ([match]) => match);
  const rest = bytes.slice(points.join("").length);
  const letters = newTextDecoder().decode(Uint8Array.from(points.join(""), (byte) => byte.charCodeAt(0)));
  return (
    /^\p{Script=Greek}*$/u.test(letters) && (rest === "" || (cut && GREEK.some((letter) => letter.startsWith(rest))))
  );
}
const GREEK = Array.from({ length: 0x110000 }, (_, point) => String.fromCodePoint(point))
  .filter((char) => /\p{Script=Greek}/u.test(char))
  .map(bytesOf);

describe.each([
  ["the embedded checkpoint's", tinyVocabulary],
  ["Qwen2's", realVocabulary],
])("with %s vocabulary", (_, load) => {
  let vocabulary: Vocabulary;
  let ofByte: Map<string, number>;
  let spelled: (string | undefined)[];
  beforeAll(async () => {
    vocabulary = await load();
    const { tokenizer, size } = vocabulary;
    spelled = Array.from({ length: size }, (_, token) => {
      if (token >= tokenizer.size || tokenizer.isSpecial(token)) return undefined;
      return String.fromCharCode(...tokenizer.bytesOf(token)) || undefined;
    });
    ofByte = new Map(spelled.flatMap((bytes, token) => (bytes?.length === 1 ? [[bytes, token] as const] : [])));
  });

  it.each(CASES)("masks are exact: $name", ({ structure, begins, whole, after }) => {
    for (const start of after) {
      const one = constraint(vocabulary, structure);
      for (const byte of start) one.accept(ofByte.get(byte)!);
      const expected = new Set(whole(start) ? vocabulary.eosTokens : []);
      for (const [token, bytes] of spelled.entries()) {
        if (bytes !== undefined && begins(start + bytes)) expected.add(token);
      }
      const got = allowed(vocabulary, one);
      const shown = (a: Set<number>, b: Set<number>) =>
        [...a].filter((token) => !b.has(token)).map((token) => spelled[token] ?? token);
      expect({ start, wrong: shown(got, expected), missing: shown(expected, got) }).toEqual({
        start,
        wrong: [],
        missing: [],
      });
      expect(got.size).toBeGreaterThan(0);
    }
  });
});

describe("a tree of tokens", () => {
  /** A tokenizer of single bytes and some texts; ids in this order. */
  const tokenizerOf = (texts: readonly string[], without: readonly number[] = []) => {
    const tokens = [
      ...texts,
      ...Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !without.includes(byte)),
    ];
    return {
      size: tokens.length,
      isSpecial: () => false,
      readBytes: (id: number) => {
        const token = tokens[id]!;
        return typeof token === "number" ? Uint8Array.of(token) : new TextEncoder().encode(token);
      },
    };
  };
  const masked = (tree: TokenTree, machine: Machine, fits = () => true): number[] => {
    const mask = new Uint32Array(16);
    atOnce(tree.masking(machine, machine.start, mask, fits));
    return Array.from({ length: 512 }, (_, id) => id).filter((id) => (mask[id >>> 5]! >>> (id & 31)) & 1);
  };

  it("has the tokens that begin a text, those with the same bytes included, but none of EOS and beyond the vocabulary", () => {
    const tokenizer = tokenizerOf(["ab", "abc", "ab", "b", "abd", "abc"]);
    const machine = new Machine(text("abc"));
    const a = 6 + 0x61;
    expect(masked(atOnce(TokenTree.of(tokenizer, [], 512)), machine)).toEqual([0, 1, 2, 5, a]);
    expect(masked(atOnce(TokenTree.of(tokenizer, [2, 1], 512)), machine)).toEqual([0, 5, a]);
    expect(masked(atOnce(TokenTree.of(tokenizer, [], 512)), machine, () => false)).toEqual([]);
    expect(atOnce(TokenTree.of(tokenizer, [], 512)).deepest).toBe(3);
  });

  it("goes along a shortest text by its longest token", () => {
    const tree = atOnce(TokenTree.of(tokenizerOf(["ab", "abcd"]), [], 512));
    const machine = new Machine(text("abcab"));
    const after = tree.along(machine, machine.start);
    expect(after.cost).toBe(3);
    expect(tree.along(machine, after).cost).toBe(2);
  });

  it("needs a token for every byte of UTF-8", () => {
    const build = (without: readonly number[]) => atOnce(TokenTree.of(tokenizerOf(["ab"], without), [], 512));
    expect(() => build([0x61])).toThrow(CheckpointError);
    expect(() => build([0x61])).toThrow(/a token for every byte, .* got none for byte 0x61/);
    expect(() => build([0xc0, 0xc1, 0xf5, 0xff])).not.toThrow();
    // Without the last byte's token within the vocabulary.
    expect(() => atOnce(TokenTree.of(tokenizerOf([]), [], 0xf4))).toThrow(/0xf4/);
  });
});
