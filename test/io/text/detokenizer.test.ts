import { describe, expect, it } from "vitest";
import { BYTE_LETTERS, TextStream, tokenBytes } from "../../../src/io/text/detokenizer.js";
import { Tokenizer } from "../../../src/io/text/tokenizer.js";
import { readFixtureJson } from "../../support/fixture.js";
import { random } from "../../support/random.js";

/** UTF-8 by the table of the Unicode standard (3-7), U+FFFD for each maximal ill-formed part. */
function decodeUtf8(bytes: readonly number[]): string {
  let text = "";
  let i = 0;
  while (i < bytes.length) {
    const lead = bytes[i++]!;
    let more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0x80) more = 0;
    else if (lead < 0xc2 || lead > 0xf4) {
      text += "\uFFFD";
      continue;
    }
    let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    let code = more === 0 ? lead : lead & (0x3f >> more);
    for (; more > 0 && i < bytes.length && bytes[i]! >= low && bytes[i]! <= high; more--) {
      code = (code << 6) | (bytes[i++]! & 0x3f);
      low = 0x80;
      high = 0xbf;
    }
    text += more > 0 ? "\uFFFD" : String.fromCodePoint(code);
  }
  return text;
}

function stream(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens: boolean): string[] {
  const out = new TextStream(tokenizer, { skipSpecialTokens });
  return [...ids.map((id) => out.push(id)), out.finish()];
}

/** Tokens of one byte, of parts of characters, and two special ones. */
const letters = [...BYTE_LETTERS];
const spell = (...bytes: number[]) => bytes.map((byte) => letters[byte]).join("");
const vocab = [
  ...letters,
  spell(0x41, 0xe2),
  spell(0x82, 0xac),
  spell(0xf0, 0x9f),
  spell(0x98, 0x80),
  spell(0xef, 0xbb, 0xbf),
];
const tokenizer = new Tokenizer({
  tokenizer: {
    added_tokens: [
      { id: vocab.length, content: "<|end|>", special: true },
      { id: vocab.length + 1, content: "<é è>", special: false },
    ],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: Object.fromEntries(vocab.map((token, id) => [token, id])), merges: [] },
  },
});
const END = vocab.length;

describe("TextStream", () => {
  it("equals the whole text on random ids, with and without special tokens", () => {
    const next = random(1);
    const leads = [
      0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xef, 0xbb, 0xbf, 0xed, 0xa0, 0xf4, 0x90, 0xe0, 0xc0, 0xff,
    ];
    for (let round = 0; round < 3000; round++) {
      const ids = Array.from({ length: 1 + Math.floor(next() * 24) }, () =>
        next() < 0.5 ? leads[Math.floor(next() * leads.length)]! : Math.floor(next() * (tokenizer.size + 3)),
      );
      for (const skipSpecialTokens of [true, false]) {
        const bytes = ids
          .filter((id) => !(skipSpecialTokens && id === END))
          .flatMap((id) => [...tokenizer.bytesOf(id)]);
        const whole = tokenizer.decode(ids, { skipSpecialTokens });
        expect(whole, ids.join()).toBe(decodeUtf8(bytes));
        expect(stream(tokenizer, ids, skipSpecialTokens).join(""), ids.join()).toBe(whole);
      }
    }
  });

  it("holds back only what may still become a character", () => {
    expect(stream(tokenizer, [0x41, 0xe2, 0x82, 0xac, 0x42], true)).toEqual(["A", "", "", "€", "B", ""]);
    expect(stream(tokenizer, [0xf0, 0x9f, END, 0x98, 0x80], true)).toEqual(["", "", "", "", "😀", ""]);
    expect(stream(tokenizer, [0xf0, 0x9f, END], false)).toEqual(["", "", "\uFFFD<|end|>", ""]);
    expect(stream(tokenizer, [0xe2, 0x41], true)).toEqual(["", "\uFFFDA", ""]);
    expect(stream(tokenizer, [0x41, 0xe2, 0x82], true)).toEqual(["A", "", "", "\uFFFD"]);
  });

  it("keeps a leading U+FEFF and starts anew after finish", () => {
    const out = new TextStream(tokenizer);
    for (let round = 0; round < 2; round++) {
      expect(out.push(0xef) + out.push(0xbb) + out.push(0xbf) + out.push(0x41) + out.finish()).toBe("\uFEFFA");
    }
  });

  it("spells an added token outside the byte alphabet as its own text", () => {
    expect(tokenizer.decode([END + 1])).toBe("<é è>");
    expect([...tokenBytes(spell(0, 0x20, 0xad, 0xff))]).toEqual([0, 0x20, 0xad, 0xff]);
  });
});

const { models } = await readFixtureJson<{ models: Record<string, string[]> }>("goldens/index.json");
const cases = Object.entries(models).flatMap(([model, names]) => names.map((name) => [model, name] as const));

describe("the answers of the golden files", () => {
  it.each(cases)("%s %s", async (model, name) => {
    const golden = new Tokenizer({ tokenizer: await readFixtureJson(`goldens/${model}/tokenizer.json`) });
    const { greedy } = await readFixtureJson<{ greedy: { ids: number[]; text: string } }>(
      `goldens/${model}/cases/${name}.json`,
    );
    expect(golden.decode(greedy.ids, { skipSpecialTokens: true })).toBe(greedy.text);
    expect(stream(golden, greedy.ids, true).join("")).toBe(greedy.text);
  });
});
