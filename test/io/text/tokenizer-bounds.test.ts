import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import { MOST_ADDED_CHARACTERS, MOST_MERGES, MOST_TOKENS } from "../../../src/io/text/tokenizer-bounds.js";
import { checkTokenizerJson } from "../../../src/io/text/tokenizer-files.js";
import { failure } from "../../support/failure.js";

const QWEN2 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const split = (Regex: unknown): object => ({
  type: "Sequence",
  pretokenizers: [{ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false }, { type: "ByteLevel" }],
});
const json = (change: object): object => ({
  model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2 }, merges: ["a b"] },
  decoder: { type: "ByteLevel" },
  pre_tokenizer: { type: "ByteLevel" },
  ...change,
});
const refused = (change: object): string => failure(CheckpointError, () => checkTokenizerJson(json(change))).message;

describe("a tokenizer.json", () => {
  it.each([
    QWEN2,
    QWEN2.replace("\\p{N}|", "\\p{N}{1,3}|"),
    "\\p{N}|\\s+",
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+|\\s+(?!\\S)|\\s+",
  ])("may split with %s", (regex) => {
    expect(checkTokenizerJson(json({ pre_tokenizer: split(regex) })).added).toEqual([]);
  });

  // Exponential, exponential, of the fifth power, quadratic and quadratic time.
  it.each(["(a+)+$", "(?:a|a)*b", "a*a*a*a*a*b", "\\s+$", "\\s*[\\r\\n]+", `${QWEN2}|(a+)+$`, "", 7])(
    "may not split with %j, whose time has no bound",
    (regex) => {
      expect(refused({ pre_tokenizer: split(regex) })).toContain(
        `tokenizer.json: pre_tokenizer: expected ByteLevel, Digits, Split or a sequence of them, with the split expression of Qwen2`,
      );
    },
  );

  it("may not replace texts by longer ones", () => {
    const normalizer = { type: "Replace", pattern: { String: "a" }, content: "aa" };
    expect(refused({ normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, normalizer] } })).toContain(
      'normalizer: expected NFC, NFD, NFKC, NFKD, Lowercase or a sequence of them, got one of type "Replace"',
    );
    expect(refused({ normalizer: { type: "Sequence", normalizers: Array(17).fill({ type: "NFC" }) } })).toContain(
      "a sequence of more than 16 parts",
    );
    let deep: object = { type: "ByteLevel" };
    for (let i = 0; i < 50; i++) deep = { type: "Sequence", pretokenizers: [deep] };
    expect(refused({ pre_tokenizer: deep })).toContain("a sequence of more than 16 parts");
  });

  it("has bounds of ids, merges and added tokens", () => {
    const model = { type: "BPE", vocab: { a: 0 }, merges: [] as string[] };
    expect(refused({ model: { ...model, vocab: { a: MOST_TOKENS } } })).toContain(
      `model.vocab "a": expected a token id below ${MOST_TOKENS}`,
    );
    expect(refused({ model: { ...model, merges: Array(MOST_MERGES + 1).fill("a b") } })).toContain(
      `expected at most ${MOST_MERGES} merges`,
    );
    const content = "a".repeat(MOST_ADDED_CHARACTERS + 1);
    expect(refused({ added_tokens: [{ id: 9, content }] })).toContain(
      `added_tokens[0].content: expected the token's text, at most ${MOST_ADDED_CHARACTERS} characters`,
    );
  });
});
