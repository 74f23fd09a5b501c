import { Tokenizer as Library } from "@huggingface/tokenizers";
import { expect, test } from "vitest";
import { AddedTokens } from "../../../src/io/text/added-tokens.js";
import { BYTE_LETTERS } from "../../../src/io/text/detokenizer.js";
import type { AddedToken } from "../../../src/io/text/tokenizer-files.js";
import { random as seeded } from "../../support/random.js";

function token(content: string, flags: Partial<AddedToken> = {}): AddedToken {
  const id = [...content].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 300) % 100_000;
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...flags };
}

const nfc = (text: string) => text.normalize("NFC");

/** The sections of a text, tokens in square brackets. */
function cut(tokens: readonly AddedToken[], text: string, searched = text): string[] {
  return new AddedTokens(tokens, nfc)
    .split(text, searched)
    .map((section) => (section.token ? `[${section.token.content}]` : section.text));
}

test("the leftmost token is found first, of those in one place the longest", () => {
  const tokens = [token("<a>"), token("<a>b"), token("b<")];
  expect(cut(tokens, "x<a>bb<a>")).toEqual(["x", "[<a>b]", "[b<]", "a>"]);
  expect(cut(tokens, "")).toEqual([]);
  expect(cut(tokens, "<a><a>")).toEqual(["[<a>]", "[<a>]"]);
});

test("white space beside a token is taken where its flags say so", () => {
  const tokens = [token("<l>", { lstrip: true }), token("<r>", { rstrip: true })];
  expect(cut(tokens, "a <l> b <r> c")).toEqual(["a", "[<l>]", " b ", "[<r>]", "c"]);
  expect(cut(tokens, "<r>  <l>").join("")).toBe("[<r>][<l>]");
});

test("normalised tokens are found in what their text composes to, others as they are written", () => {
  const tokens = [token("<é>", { normalized: true }), token("<è>")];
  expect(cut(tokens, "<e\u0301><e\u0300>")).toEqual(["[<é>]", "<è>"]);
  expect(cut(tokens, "<è>")).toEqual(["[<è>]"]);
});

test("blanked-out characters are never part of a token, and the text is unchanged", () => {
  const tokens = [token("<a>"), token("<a>b"), token("<é>", { normalized: true })];
  expect(cut(tokens, "<a>b<a>b", "...b<a>.")).toEqual(["<a>b", "[<a>]", "b"]);
  expect(cut(tokens, "<e\u0301><é>", "....<é>")).toEqual(["<e\u0301>", "[<é>]"]);
});

test("random texts are cut as the library cuts them", () => {
  const random = seeded(7);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const letters = ["<", "a", " ", "e", "\u0301"];
  const word = (least: number, most: number): string =>
    Array.from({ length: least + Math.floor(random() * (most - least + 1)) }, () => pick(letters)).join("");
  let found = 0;
  for (let round = 0; round < 300; round++) {
    const flag = () => random() < 0.3;
    const contents = new Set(Array.from({ length: 5 }, () => word(2, 3)).filter((w) => w.trim() === w && w !== ""));
    const tokens = [...contents].map((content, i) => ({
      ...token(content, { lstrip: flag(), rstrip: flag(), normalized: flag() }),
      id: 256 + i,
    }));
    const library = new Library(
      {
        added_tokens: tokens,
        normalizer: { type: "NFC" },
        pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
        post_processor: null,
        decoder: null,
        model: { type: "BPE", vocab: Object.fromEntries([...BYTE_LETTERS].map((l, id) => [l, id])), merges: [] },
      },
      {},
    );
    const plain = (text: string) => library.model!.encode(library.pre_tokenizer!.pre_tokenize([nfc(text)]));
    const text = word(0, 60);
    const expected = library.tokenize(text);
    const tokensOf = new AddedTokens(tokens, nfc)
      .split(text, text)
      .flatMap((section) => (section.token ? [section.token.content] : plain(section.text)));
    expect(tokensOf, JSON.stringify([text, tokens])).toEqual(
      expected.map((t: string) => tokens.find(({ content }) => t === content || nfc(content) === t)?.content ?? t),
    );
    found += expected.filter((t: string) => t.length > 1).length;
  }
  expect(found).toBeGreaterThan(300);
});
