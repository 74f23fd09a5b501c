import { describe, expect, it } from "vitest";
import { CheckpointError } from "../../../src/base/errors.js";
import { checkTokenizerJson, mergeAddedTokens, type TokenizerJson } from "../../../src/io/text/tokenizer-files.js";
import { failure } from "../../support/failure.js";

/** The least that a `tokenizer.json` has. */
const small = () => ({
  added_tokens: [] as unknown,
  pre_tokenizer: { type: "ByteLevel" } as unknown,
  decoder: { type: "ByteLevel" } as unknown,
  model: { type: "BPE" as unknown, vocab: { a: 0, b: 1, ab: 2 } as unknown, merges: ["a b"] as unknown },
});

describe("checkTokenizerJson", () => {
  it("takes merges as text and as pairs, and a file without a type", () => {
    const json = small();
    expect(checkTokenizerJson(json)).toEqual({
      normalizer: null,
      preTokenizer: { type: "ByteLevel" },
      vocab: { a: 0, b: 1, ab: 2 },
      merges: [["a", "b"]],
      ignoreMerges: false,
      added: [],
    });
    const pairs = { ...json, model: { vocab: json.model.vocab, merges: [["a", "b"]], ignore_merges: true } };
    expect(checkTokenizerJson(pairs)).toMatchObject({ merges: [["a", "b"]], ignoreMerges: true });
  });

  it("finds a byte-level step within a sequence", () => {
    const sequence = { type: "Sequence", pretokenizers: [{ type: "Split" }, { type: "ByteLevel" }] };
    expect(checkTokenizerJson({ ...small(), pre_tokenizer: sequence }).preTokenizer).toBe(sequence);
  });

  it("normalises a token's text unless the token is special or says otherwise", () => {
    const tokens = [{}, { special: true }, { special: true, normalized: true }, { lstrip: true, rstrip: null }];
    const added_tokens = tokens.map((flags, i) => ({ id: 3 + i, content: `<${i}>`, ...flags }));
    const { added } = checkTokenizerJson({ ...small(), added_tokens });
    expect(added.map(({ normalized }) => normalized)).toEqual([true, false, true, true]);
    expect(added[3]).toEqual({
      ...{ id: 6, content: "<3>", special: false, normalized: true },
      ...{ single_word: false, lstrip: true, rstrip: false },
    });
  });

  it.each<[string, (json: ReturnType<typeof small>) => unknown, string]>([
    ["nothing", () => undefined, "tokenizer.json: expected an object, got nothing"],
    ["a list", () => [1, 2], "tokenizer.json: expected an object, got a list of 2"],
    ["no model", (json) => ({ ...json, model: null }), "tokenizer.json: model: expected an object, got null"],
    ["another kind", (json) => ({ ...json, model: { type: "Unigram" } }), 'model.type: expected "BPE", got "Unigram"'],
    ["neither type nor merges", (json) => ({ ...json, model: {} }), 'model.type: expected "BPE", got nothing'],
    [
      "no decoder",
      (json) => ({ ...json, decoder: null }),
      'tokenizer.json: decoder: expected type "ByteLevel", got null',
    ],
    [
      "another splitting",
      (json) => ({ ...json, pre_tokenizer: { type: "Whitespace" } }),
      'tokenizer.json: pre_tokenizer: expected one with "ByteLevel", got an object with type',
    ],
    ["added tokens by name", (json) => ({ ...json, added_tokens: {} }), "got an object with no fields"],
    ["an added token without text", (json) => ({ ...json, added_tokens: [{ id: 300 }] }), "added_tokens[0].content"],
    ["an added token without an id", (json) => ({ ...json, added_tokens: [{ content: "x" }] }), "added_tokens[0].id"],
    [
      "a flag that is text",
      (json) => ({ ...json, added_tokens: [{ id: 3, content: "x", lstrip: "yes" }] }),
      'added_tokens[0].lstrip: expected true or false, got "yes"',
    ],
  ])("refuses %s", (_, change, message) => {
    const error = failure(CheckpointError, () => checkTokenizerJson(change(small())));
    expect(error.message).toContain(message);
    expect(error.fault.remedy).toBe("download the file again from the checkpoint's repository");
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["a list as vocabulary", { vocab: [] }, "model.vocab: expected an object of tokens and ids, got a list of 0"],
    ["an empty vocabulary", { vocab: {}, merges: [] }, "model.vocab: expected tokens, got an object with no fields"],
    ["an id that is text", { vocab: { a: "0" } }, 'model.vocab "a": expected a token id, got "0"'],
    ["an id below 0", { vocab: { a: -1 } }, 'model.vocab "a": expected a token id, got -1'],
    ["an id that is no whole number", { vocab: { a: 0.5 } }, "got 0.5"],
    ["one id twice", { vocab: { a: 0, b: 0 } }, "0 for a and b"],
    ["no merges", { merges: undefined }, "model.merges: expected a list of merges, got nothing"],
    ["a merge of three", { merges: ["a b", "a b c"] }, "model.merges[1]: expected two tokens"],
    ["a merge of numbers", { merges: [[1, 2]] }, "model.merges[0]: expected two tokens"],
    [
      "a merge of strangers",
      { vocab: { a: 0, b: 1 }, merges: ["a b"] },
      'model.merges[0]: expected tokens of the vocabulary, got "ab"',
    ],
    [
      "a merge named as what every object has",
      { vocab: { to: 0, String: 1 }, merges: ["to String"] },
      'got "toString"',
    ],
  ])("refuses %s", (_, change, message) => {
    const json = small();
    expect(
      failure(CheckpointError, () => checkTokenizerJson({ ...json, model: { ...json.model, ...change } })).message,
    ).toContain(message);
  });

  it("quotes no more of a long value than shows what it is", () => {
    const error = failure(CheckpointError, () => checkTokenizerJson({ ...small(), model: { type: "x".repeat(500) } }));
    expect(error.fault.got).toBe(`"${"x".repeat(59)}…`);
  });
});

describe("mergeAddedTokens", () => {
  const base = (added: unknown[] = []): TokenizerJson => checkTokenizerJson({ ...small(), added_tokens: added });
  const first = { id: 3, content: "<a>", special: true };

  it("keeps the properties of the first file that has a token", () => {
    const config = { added_tokens_decoder: { 3: { content: "<a>", special: false }, 4: { content: "<b>" } } };
    const merged = mergeAddedTokens(base([first]), config, { "<b>": 4, "<c>": 5 });
    expect(merged.map(({ id, content, special }) => [id, content, special])).toEqual([
      [3, "<a>", true],
      [4, "<b>", false],
      [5, "<c>", false],
    ]);
  });

  it("takes tokens of added_tokens.json for special if tokenizer_config.json names them", () => {
    const config = { eos_token: "<e>", bos_token: { content: "<b>" }, additional_special_tokens: ["<x>"] };
    const merged = mergeAddedTokens(base(), config, { "<e>": 3, "<b>": 4, "<x>": 5, "<y>": 6 });
    expect(merged.filter(({ special }) => special).map(({ content }) => content)).toEqual(["<e>", "<b>", "<x>"]);
    expect(merged.every(({ normalized }) => !normalized)).toBe(true);
  });

  it("adds nothing without the other two files", () => {
    expect(mergeAddedTokens(base([first]), undefined, undefined)).toEqual(base([first]).added);
  });

  it.each<[string, unknown, unknown, string]>([
    [
      "another id for a token",
      undefined,
      { "<a>": 4 },
      'added_tokens.json: "<a>": expected id 3 for <a>, as elsewhere',
    ],
    ["another token for an id", undefined, { "<b>": 3 }, "expected id 3 for <a>, as elsewhere in the checkpoint"],
    ["another id than the vocabulary's", undefined, { ab: 9 }, "expected id 2 for ab"],
    ["an id of the vocabulary", undefined, { "<b>": 1 }, "expected id 1 for b"],
    ["an id below 0", undefined, { "<b>": -1 }, 'added_tokens.json: "<b>": expected a token id, got -1'],
    ["a list of added tokens", undefined, ["<b>"], "added_tokens.json: expected an object, got a list of 1"],
    ["a config that is a list", [], undefined, "tokenizer_config.json: expected an object, got a list of 0"],
    [
      "an id that is a word",
      { added_tokens_decoder: { x: { content: "<c>" } } },
      undefined,
      'tokenizer_config.json: added_tokens_decoder["x"]: expected a token id, got NaN',
    ],
    [
      "an entry that is text",
      { added_tokens_decoder: { 4: "<c>" } },
      undefined,
      'added_tokens_decoder["4"]: expected an added token, got "<c>"',
    ],
  ])("refuses %s", (_, config, added, message) => {
    expect(failure(CheckpointError, () => mergeAddedTokens(base([first]), config, added)).message).toContain(message);
  });
});
