import { expect, test } from "vitest";
import { KVCache } from "../../../src/layers/kv-cache.js";
import type { AnswerResult } from "../../../src/models/chat/answer.js";
import type { GenerateOptions } from "../../../src/models/chat/generate-options.js";
import { exampleFile, exampleOf } from "../../support/examples.js";
import { useTiny } from "../../support/tiny-model.js";

// Drafts change how many passes an answer takes, never its tokens.

const held = useTiny();

const KEYS = [
  "invoice",
  "date",
  "due",
  "currency",
  "seller",
  "buyer",
  "street",
  "city",
  "country",
  "net",
  "tax",
  "total",
];
const INVOICE = {
  type: "object",
  properties: Object.fromEntries(
    KEYS.map((key, i) => [
      key,
      i === 3
        ? { enum: ["euro", "dollar"] }
        : i < 9
          ? { type: "string", maxLength: 6 }
          : { type: "integer", maximum: 999 },
    ]),
  ),
  required: KEYS,
  additionalProperties: false,
};

/** Answers to several questions of one conversation, with and without drafts. */
async function both(questions: readonly string[], options: GenerateOptions, files: readonly string[] = []) {
  const results: (AnswerResult & { drafts: boolean })[] = [];
  for (const drafts of [false, true]) {
    const session = held.model.createSession();
    const images = await Promise.all(files.map(exampleFile));
    for (const [i, text] of questions.entries()) {
      const media = i === 0 ? images.map((image) => ({ type: "image" as const, image })) : [];
      const { result } = session.generate([...media, { type: "text", text }], { ...options, drafts });
      results.push({ drafts, ...(await result) });
    }
    session.dispose();
  }
  const half = results.length / 2;
  return questions.map((_, i) => ({ without: results[i]!, drafted: results[half + i]! }));
}

test("a schema's keys are not decoded one by one", async () => {
  const [answer] = await both(["Write an invoice."], { schema: INVOICE, maxNewTokens: 400 });
  const { without, drafted } = answer!;
  expect(drafted.tokens).toEqual(without.tokens);
  expect(Object.keys(JSON.parse(drafted.text) as object)).toEqual(KEYS);
  expect(without.usage).toMatchObject({ draftedTokens: 0, acceptedTokens: 0 });
  const { acceptedTokens, draftedTokens, completionTokens } = drafted.usage;
  console.log(`${completionTokens} tokens, ${draftedTokens} drafted, ${acceptedTokens} accepted`);
  expect(draftedTokens).toBeGreaterThanOrEqual(acceptedTokens);
  expect(completionTokens - acceptedTokens).toBeLessThan(completionTokens / 2);
});

test("an answer that repeats an earlier one is copied in a few passes", async () => {
  const { files, turns } = exampleOf("00-shapes.png");
  const { question } = turns.find(({ question }) => question === "What do you see?")!;
  const answers = await both([question, question, question], { maxNewTokens: 60 }, files);
  for (const { without, drafted } of answers) {
    expect(drafted.tokens).toEqual(without.tokens);
    expect(drafted.text).toBe(without.text);
  }
  const { usage } = answers[2]!.drafted;
  expect(usage.acceptedTokens).toBeGreaterThan(0);
});

test("sampling with a seed draws the same tokens", async () => {
  for (const seed of [1, 2]) {
    const options = { temperature: 0.8, topP: 0.9, seed, maxNewTokens: 40, minNewTokens: 30 };
    for (const { without, drafted } of await both(["Hello!", "Hello!"], options)) {
      expect(drafted.tokens).toEqual(without.tokens);
    }
    const [structured] = await both(["Write."], { schema: INVOICE, maxNewTokens: 60, temperature: 1, seed });
    expect(structured!.drafted.text).toBe(structured!.without.text);
  }
});

test("penalties and logprobs take a pass for every token", async () => {
  for (const options of [{ repetitionPenalty: 1.3 }, { logprobs: true }]) {
    const [, again] = await both(["What can you do?", "What can you do?"], { ...options, maxNewTokens: 40 });
    expect(again!.drafted.usage.draftedTokens).toBe(0);
  }
});

test("the logits along a draft are those of steps, bit for bit", async () => {
  const { device, model } = held;
  const { network, config, cacheType } = model.internals;
  const { layers, keyValueHeads, headSize, vocabulary } = config.text;
  const cache = new KVCache(device, layers, keyValueHeads * headSize, cacheType);
  cache.reserve(64);
  const owner = device.arena("logits");
  owner.run(() => void network.decode(Uint32Array.of(596, 20, 30, 40, 50), 0, [], cache));
  const other = cache.clone();
  const ids = Uint32Array.of(7, 11, 13, 17, 19, 23);
  const steps: number[] = [];
  for (const id of ids) {
    const logits = owner.run(() => network.step(device.upload(Uint32Array.of(id), [1], "id"), other));
    steps.push(...(await logits.read()));
  }
  const along = await network.after(ids, cache, { owner, where: "drafting" });
  expect(along.shape).toEqual([ids.length, vocabulary]);
  expect([...(await along.read())]).toEqual(steps);
  expect(cache.length).toBe(other.length);
  const filled = cache.length * cache.keys[1]!.size(1);
  expect((await cache.keys[1]!.read()).slice(0, filled)).toEqual((await other.keys[1]!.read()).slice(0, filled));
  owner.dispose();
  cache.dispose();
  other.dispose();
});
