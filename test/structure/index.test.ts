import { expect, test } from "vitest";
import { AbortedError, OptionError } from "../../src/base/errors.js";
import { constrain, type Structure, TokenConstraint, tokenBytes, type Vocabulary } from "../../src/structure/index.js";
import { TINY } from "../support/checkpoint.js";
import { readFixture } from "../support/fixture.js";

// A vocabulary that is no tokenizer of ours: 256 bytes, some words, a special token and an EOS token beyond the text's tokens.

const WORDS = ["yes", "no", "{", '"', "ye", "s\n", "東京"];
const SPECIAL = 256 + WORDS.length;
const EOS = 300;

function vocabulary(): Vocabulary {
  const tokens: (Uint8Array | undefined)[] = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  for (const word of WORDS) tokens.push(new TextEncoder().encode(word));
  tokens[SPECIAL] = undefined;
  return { tokens, eosTokens: [EOS] };
}

const idOf = (word: string): number => 256 + WORDS.indexOf(word);
const idsOf = (mask: Uint32Array): number[] =>
  Array.from({ length: mask.length * 32 }, (_, id) => id).filter((id) => (mask[id >>> 5]! >>> (id & 31)) & 1);
const byte = (char: string): number => char.charCodeAt(0);

test("the mask has the tokens that may come next, and EOS tokens at the end", async () => {
  const position = await constrain({ regex: "yes|no" }, vocabulary());
  expect(position).toBeInstanceOf(TokenConstraint);
  expect(idsOf(position.mask())).toEqual([byte("n"), byte("y"), idOf("yes"), idOf("no"), idOf("ye")]);
  expect([position.complete, position.ended]).toEqual([false, false]);
  position.accept(idOf("ye"));
  expect(idsOf(position.mask())).toEqual([byte("s")]);
  position.accept(byte("s"));
  expect(idsOf(position.mask())).toEqual([EOS]);
  expect(position.complete).toBe(true);
  position.accept(EOS);
  expect(position.ended).toBe(true);
  expect(() => position.mask()).toThrow(OptionError);
  expect(() => position.accept(EOS)).toThrow(/EOS token was accepted/);
});

test("with a budget only tokens remain that lead to the end in time", async () => {
  const position = await constrain({ regex: "yes|no" }, vocabulary());
  expect(idsOf(position.mask(2))).toEqual([idOf("yes"), idOf("no")]);
  expect(idsOf(position.mask(3))).toEqual([byte("n"), idOf("yes"), idOf("no"), idOf("ye")].sort((a, b) => a - b));
  for (const left of [0, -1, Number.NaN]) expect(() => position.mask(left)).toThrow(/expected a number of tokens/);
});

test.each<[Structure, string]>([
  [
    { schema: { type: "object", properties: { city: { enum: ["東京", "Paris"] } }, required: ["city"] } },
    '{"city": "東京"}',
  ],
  [{ grammar: 'root ::= "yes" | "no" root' }, "nonoyes"],
])("%j is written token by token", async (structure, text) => {
  const position = await constrain(structure, vocabulary());
  const bytes = new TextEncoder().encode(text);
  for (const token of bytes) {
    expect(idsOf(position.mask())).toContain(token);
    position.accept(token);
  }
  expect(idsOf(position.mask())).toEqual([EOS]);
});

test("a token that may not come next is an error, and the position stays", async () => {
  const position = await constrain({ regex: "yes|no" }, vocabulary());
  for (const token of [byte("x"), idOf("s\n"), SPECIAL, 299, EOS, 1e9, -1, 0.5, Number.NaN]) {
    expect(() => position.accept(token), String(token)).toThrow(OptionError);
  }
  position.accept(byte("y"));
  expect(() => position.accept(idOf("s\n"))).toThrow(OptionError);
  position.accept(byte("e"));
  position.accept(byte("s"));
  position.accept(EOS);
});

test("texts of one structure are compiled once and do not affect each other", async () => {
  const words = vocabulary();
  const schema = { type: "array", items: { type: "integer" } };
  const first = await constrain({ schema }, words);
  first.accept(byte("["));
  const second = await constrain({ schema }, words);
  expect(idsOf(second.mask())).toEqual([byte("[")]);
  expect(idsOf(first.mask())).toContain(byte("]"));
});

test("what is not one structure or no vocabulary is an error", async () => {
  const wrong = async (structure: unknown, words: unknown = vocabulary()) =>
    expect(constrain(structure as Structure, words as Vocabulary)).rejects;
  await (await wrong({})).toThrow(/expected one of schema, regex and grammar, got none/);
  await (await wrong({ regex: "a", schema: true })).toThrow(/got schema and regex/);
  await (await wrong({ regexp: "a" })).toThrow(/did you mean `regex`/);
  await (await wrong({ regex: "a" }, { tokens: ["a"], eosTokens: [] })).toThrow(/tokens\[0\]/);
  await (await wrong({ regex: "a" }, { tokens: { length: 2 ** 40 }, eosTokens: [] })).toThrow(/at most/);
  await (await wrong({ regex: "a" }, { ...vocabulary(), eosTokens: [2 ** 40] })).toThrow(/eosTokens/);
  await (await wrong({ regex: "a" }, { tokens: [Uint8Array.of(97)], eosTokens: [] })).toThrow(/a token for every byte/);
  await (await wrong({ regex: "(" })).toThrow(OptionError);
  const signal = AbortSignal.abort();
  await expect(constrain({ regex: "a" }, vocabulary(), { signal })).rejects.toThrow(AbortedError);
});

test("tokenBytes reads the spelling of byte-level vocabularies", async () => {
  const json = JSON.parse(new TextDecoder().decode(await readFixture(`${TINY}/tokenizer.json`)));
  const tokens: Uint8Array[] = [];
  for (const [token, id] of Object.entries(json.model.vocab as Record<string, number>)) tokens[id] = tokenBytes(token);
  const position = await constrain({ regex: "a b" }, { tokens, eosTokens: [597] });
  const texts = idsOf(position.mask()).map((id) => new TextDecoder().decode(tokens[id]));
  expect(texts).toContain("a");
  for (const text of texts) expect("a b").toContain(text);
});
