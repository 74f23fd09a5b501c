import { beforeAll, describe, expect, it } from "vitest";
import type { Structure } from "../../src/structure/constraint.js";
import {
  allowed,
  constraint,
  randomAnswer,
  realVocabulary,
  tinyVocabulary,
  type Vocabulary,
} from "../support/constrained.js";
import { random } from "../support/random.js";

let vocabulary: Vocabulary;
beforeAll(async () => {
  vocabulary = await tinyVocabulary();
});

const STRUCTURES: readonly Structure[] = [
  {
    schema: {
      type: "object",
      properties: { name: { type: "string", minLength: 3 }, list: { type: "array" } },
      required: ["name", "list"],
    },
  },
  { schema: { type: "array", items: { type: "array", items: { type: "string" } } } },
  { schema: true },
  { regex: "The (?:big|red) [a-z ]{4,}\\." },
  { grammar: 'root ::= "(" root ")" | "x" | "triangle" root' },
];

describe("an answer ends in time", () => {
  it.each(STRUCTURES)("with any budget that holds a shortest one: %j", (structure) => {
    // Below the least budget that is always enough, luck decides.
    let least = 61;
    for (let budget = 60; budget > 0 && least === budget + 1; budget--) {
      const answers = Array.from({ length: 8 }, (_, seed) => randomAnswer(vocabulary, structure, random(seed), budget));
      if (answers.every(({ ended }) => ended)) least = budget;
      if ("schema" in structure) for (const { text, ended } of answers) if (ended) JSON.parse(text);
    }
    expect(randomAnswer(vocabulary, structure, random(1), 1).ended).toBe(false);
    expect(least).toBeLessThan(35);
  });

  it("is complete without an EOS token where only that does not fit", () => {
    const structure = { regex: "(?:triangle ){3}!" };
    // "tri", "angle", " triangle", " triangle", " ", "!" or longer ones.
    const lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((budget) =>
      randomAnswer(vocabulary, structure, random(1), budget),
    );
    const first = lengths.findIndex(({ ended }) => ended);
    expect(lengths[first]!.text).toBe("triangle triangle triangle !");
    expect(lengths[first - 1]).toEqual({ text: "triangle triangle triangle !", ended: false });
  });

  it("counted in tokens, not in bytes", async () => {
    const real = await realVocabulary();
    const properties = {
      observation_of_the_environment: { type: "string" },
      recommendation_for_the_customer: { type: "string" },
    };
    const schema = { type: "object", properties, required: Object.keys(properties) };
    // 76 bytes.
    for (let seed = 0; seed < 5; seed++) {
      const { text, ended } = randomAnswer(real, { schema }, random(seed), 28);
      expect(ended, text).toBe(true);
      expect(Object.keys(JSON.parse(text) as object)).toEqual(Object.keys(properties));
    }
  });

  it("while there is time, it hurries nobody", () => {
    const structure = { schema: { type: "string", minLength: 5 } };
    const [one, two] = [constraint(vocabulary, structure), constraint(vocabulary, structure)];
    for (const same of [one, two]) same.accept(vocabulary.tokenizer.idOf('"')!);
    expect(allowed(vocabulary, one, 100)).toEqual(allowed(vocabulary, two, 12));
    expect(allowed(vocabulary, one, 100).size).toBeGreaterThan(allowed(vocabulary, two, 5).size);
  });
});

describe("large structures", () => {
  it("match to the end with more states than are cached", () => {
    const structure = { regex: "[0-9]{25000}x" };
    const one = constraint(vocabulary, structure);
    const { tokenizer } = vocabulary;
    const digits = [...allowed(vocabulary, one)].filter((token) => tokenizer.bytesOf(token).length === 1);
    expect(digits).toHaveLength(10);
    for (let i = 0; i < 25_000; i++) one.accept(digits[i % 10]!);
    expect([...allowed(vocabulary, one)].map((token) => tokenizer.tokenOf(token))).toEqual(["x"]);
    expect(() => one.accept(digits[0]!)).toThrow("was not allowed");
  });

  it("nest without end", () => {
    const one = constraint(vocabulary, { schema: true });
    const bracket = vocabulary.tokenizer.idOf("[")!;
    for (let i = 0; i < 30_000; i++) one.accept(bracket);
    const close = vocabulary.tokenizer.idOf("]")!;
    expect(allowed(vocabulary, one, 40_000).has(close)).toBe(true);
    for (let i = 0; i < 30_000; i++) one.accept(close);
    expect([...allowed(vocabulary, one)]).toEqual(vocabulary.eosTokens);
  });

  it("of many are compiled again when they are needed again", () => {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 40; i++) {
        expect(randomAnswer(vocabulary, { regex: `x{${i}}` }, random(i), 60).text).toBe("x".repeat(i));
      }
    }
  });
});

describe("forced text", () => {
  const schema = {
    type: "object",
    properties: { name: { const: "é" }, kind: { enum: ["small one", "small two"] } },
    required: ["name", "kind"],
    additionalProperties: false,
  };
  const read = (text: string) => {
    const walk = constraint(vocabulary, { schema });
    for (const token of vocabulary.tokenizer.encode(text)) walk.accept(token);
    return walk;
  };

  it("goes up to the next choice, in whole characters", () => {
    // White space may follow the comma and the colon.
    expect(read("").forced()).toBe('{"name":');
    expect(read('{"').forced()).toBe('name":');
    expect(read('{"name": "').forced()).toBe('é",');
    expect(read('{"name": "é", "kind": "').forced()).toBe("small ");
    expect(read('{"name": "é", "kind": "small o').forced()).toMatch(/^ne"/);
    expect(constraint(vocabulary, { regex: "[äö]x" }).forced()).toBe("");
  });

  it("is what every answer has there", () => {
    const schema = { enum: ["one two", "one three", "two"] };
    for (let seed = 0; seed < 20; seed++) {
      const { text } = randomAnswer(vocabulary, { schema }, random(seed), 100);
      const walk = constraint(vocabulary, { schema });
      let before = "";
      for (const token of vocabulary.tokenizer.encode(text)) {
        expect(text.slice(before.length).startsWith(walk.forced())).toBe(true);
        walk.accept(token);
        before += vocabulary.tokenizer.decode([token]);
      }
    }
  });

  it("a fork advances by itself", () => {
    const walk = read('{"name": "é", "kind": "small ');
    const fork = walk.fork();
    for (const token of vocabulary.tokenizer.encode("two")) fork.accept(token);
    expect(fork.forced()).toMatch(/^"/);
    expect(walk.forced()).toBe("");
  });
});
