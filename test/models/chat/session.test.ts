import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { OptionError, PromptError } from "../../../src/base/errors.js";
import type { AnswerPiece } from "../../../src/models/chat/answer.js";
import type { GenerateOptions } from "../../../src/models/chat/generate-options.js";
import type { Session } from "../../../src/models/chat/session.js";
import type { ImageContent } from "../../../src/models/llava-onevision/processor.js";
import type { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import type { Device } from "../../../src/runtime/device.js";
import { exampleFile } from "../../support/examples.js";
import { useTiny } from "../../support/tiny-model.js";

// The operations of a session: follow-up questions, append, clone, measure, sampling, stop, and the vision cache.

const square = await exampleFile("00-shapes.png");
const image = (picture: ImageContent["image"]): ImageContent => ({ type: "image", image: picture });
const QUESTION = "What do you see?";
const ANSWER = "An orange square at the top left.";
const picture = [image(square), { type: "text", text: QUESTION }] as const;

const held = useTiny();
let device: Device;
let model: LlavaOneVision;
let weights: number;
let session: Session;
beforeAll(() => {
  ({ device, model, weights } = held);
});
beforeEach(() => {
  session = model.createSession();
});
afterEach(() => {
  session.dispose();
  expect(device.pool.liveBytes).toBe(weights);
});

async function piecesOf(answer: AsyncIterable<AnswerPiece>): Promise<AnswerPiece[]> {
  const pieces: AnswerPiece[] = [];
  for await (const piece of answer) pieces.push(piece);
  return pieces;
}

describe("a conversation", () => {
  test("continues with a text, equal to passing all messages", async () => {
    expect((await session.generate(picture).result).text).toBe(ANSWER);
    const next = await session.generate("Which shape is orange?").result;
    expect(session.messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
    using other = model.createSession();
    const whole = await other.generate(session.messages.slice(0, 3)).result;
    expect(next.tokens).toEqual(whole.tokens);
    expect(next.usage.reusedTokens).toBeGreaterThan(150);
    expect(next.usage.tiles).toBe(0);
    session.reset();
    expect(session.messages).toEqual([]);
  });

  test("begins with the system prompt of the session", async () => {
    using told = model.createSession({ system: "Be brief." });
    const answer = await told.generate("Hello!", { maxNewTokens: 4 }).result;
    using other = model.createSession();
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello!" },
    ] as const;
    expect(answer.promptTokens).toEqual((await other.generate(messages, { maxNewTokens: 4 }).result).promptTokens);
    expect(told.messages[0]).toEqual(messages[0]);
    await expect(told.generate(messages).result).rejects.toThrow(OptionError);
    expect(() => model.createSession({ sytem: "?" } as object)).toThrow(/did you mean `system`/);
  });

  test("what is appended is computed ahead of its question", async () => {
    const stages: string[] = [];
    const appended = await session.append([image(square)], { onProgress: ({ stage }) => stages.push(stage) });
    expect(appended).toMatchObject({ tiles: 2, visualTokens: 171, reusedTokens: 0 });
    expect(appended.promptTokens).toBeGreaterThan(171);
    expect(stages).toContain("vision");
    expect(session.messages).toEqual([]);
    const answer = await session.generate(QUESTION).result;
    expect(answer.text).toBe(ANSWER);
    expect(answer.usage).toMatchObject({ tiles: 0, reusedTokens: appended.promptTokens });
    expect(session.messages[0]!.content).toHaveLength(2);
    await expect(session.append([])).rejects.toThrow(PromptError);
    await expect(session.append(7 as never)).rejects.toThrow(PromptError);
  });

  test("a second question on the same picture: no vision, and only new tokens", async () => {
    await session.generate(picture).result;
    const second = await session.generate([image(square), { type: "text", text: "Which shape is orange?" }]).result;
    // Two pictures are squares, which are other tiles; the same picture in another session is known.
    expect(second.usage.tiles).toBe(1);
    using other = model.createSession();
    // Of the other session's rows, the full blocks.
    const again = await other.generate(picture).result;
    expect(again).toMatchObject({ text: ANSWER, usage: { tiles: 0, reusedTokens: 128 } });
    const once = await other.generate("And now?", { maxNewTokens: 3 }).result;
    expect(once.usage.tiles).toBe(0);
    expect(once.usage.promptTokens - once.usage.reusedTokens).toBeLessThan(40);
  });

  test("a clone made while an answer runs has the conversation before, and the rows of the question", async () => {
    let begin = (_: unknown): void => {};
    const begun = new Promise((resolve) => {
      begin = resolve;
    });
    const options = { maxNewTokens: 16, minNewTokens: 16 };
    const running = session.generate("Which shape is orange?", {
      ...options,
      onProgress: ({ stage }) => stage === "decode" && begin(undefined),
    });
    await begun;
    using clone = session.clone();
    expect(clone.messages).toEqual([]);
    const [first, second] = await Promise.all([
      running.result,
      clone.generate("Which shape is orange?", options).result,
    ]);
    expect(second.tokens).toEqual(first.tokens);
    expect(second.usage.reusedTokens).toBe(first.usage.promptTokens - 1);
  });
  test("a clone goes its own way", async () => {
    await session.append([image(square)]);
    using clone = session.clone();
    const [one, other] = await Promise.all([
      session.generate(QUESTION).result,
      clone.generate("Which shape is orange?").result,
    ]);
    expect(one.text).toBe(ANSWER);
    using fresh = model.createSession();
    const alone = await fresh.generate([image(square), { type: "text", text: "Which shape is orange?" }]).result;
    expect(other.tokens).toEqual(alone.tokens);
    expect(other.usage.reusedTokens).toBeGreaterThan(171);
    expect(clone.messages).not.toEqual(session.messages);
  });

  test("is measured without the adapter", async () => {
    const before = { ...device.counters };
    const measured = await session.measure(picture);
    expect(device.counters).toEqual(before);
    const { usage, promptTokens } = await session.generate(picture).result;
    expect(measured).toEqual({
      promptTokens: promptTokens.length,
      visualTokens: usage.visualTokens,
      reusedTokens: 0,
      tiles: 2,
      contextTokens: model.config.text.maxPositions,
      availableTokens: model.config.text.maxPositions - promptTokens.length,
      media: [{ kind: "image", tiles: 2, tokens: 171, width: 121, height: 110, cuts: { x: [], y: [] } }],
    });
    expect((await session.measure("And now?")).reusedTokens).toBeGreaterThan(171);
  });

  test("two sessions answer at once, and neither waits for the other's end", async () => {
    using other = model.createSession();
    const order: string[] = [];
    const ask = async (who: Session, name: string) => {
      const options = { minNewTokens: 60, maxNewTokens: 60 };
      for await (const { token } of who.generate(picture, options)) if (token !== undefined) order.push(name);
    };
    await Promise.all([ask(session, "a"), ask(other, "b")]);
    const [a, b] = [order.lastIndexOf("a"), order.lastIndexOf("b")];
    // When one has ended the other is not far behind.
    expect(order.slice(0, Math.min(a, b)).filter((name) => name === (a < b ? "b" : "a")).length).toBeGreaterThan(20);
  });
});

describe("answers", () => {
  const drawn: GenerateOptions = { temperature: 1.5, maxNewTokens: 12 };

  test("the same seed gives the same text, and results include the seed", async () => {
    const first = await session.generate("Hello!", { ...drawn, seed: 7 }).result;
    session.reset();
    const again = await session.generate("Hello!", { ...drawn, seed: 7 }).result;
    expect(again.tokens).toEqual(first.tokens);
    expect(first.seed).toBe(7);
    const others = new Set<string>();
    // It was not trained on such a question: nothing is likely.
    const strange = [image(square), { type: "text", text: "Sing about it." }] as const;
    for (let seed = 0; seed < 4; seed++) {
      session.reset();
      others.add((await session.generate(strange, { ...drawn, seed }).result).text);
    }
    expect(others.size).toBeGreaterThan(2);
    session.reset();
    const made = await session.generate("Hello!", drawn).result;
    session.reset();
    expect((await session.generate("Hello!", { ...drawn, seed: made.seed! }).result).tokens).toEqual(made.tokens);
    session.reset();
    expect((await session.generate("Hello!").result).seed).toBeUndefined();
  });

  test("sampled tokens of one step follow the logprobs", async () => {
    const options = { temperature: 1, maxNewTokens: 1, logprobs: true, topLogprobs: 20 };
    const seen = new Map<number, number>();
    let top: readonly { token: number; logprob: number }[] = [];
    const count = 150;
    for (let seed = 0; seed < count; seed++) {
      session.reset();
      const { tokens, logprobs } = await session.generate(picture, { ...options, seed, topK: 3 }).result;
      top = logprobs?.[0]?.top ?? top;
      for (const token of tokens) seen.set(token, (seen.get(token) ?? 0) + 1);
    }
    const kept = top.slice(0, 3).map(({ token, logprob }) => ({ token, weight: Math.exp(logprob) }));
    const whole = kept.reduce((sum, { weight }) => sum + weight, 0);
    let figure = 0;
    for (const { token, weight } of kept) {
      const expected = (count * weight) / whole;
      figure += ((seen.get(token) ?? 0) - expected) ** 2 / Math.max(expected, 1);
    }
    expect(figure).toBeLessThan(18);
  });

  test("logprobs of the most likely tokens", async () => {
    const { tokens, logprobs } = await session.generate(picture, { logprobs: true, topLogprobs: 4 }).result;
    expect(logprobs).toHaveLength(tokens.length);
    for (const [i, { token, logprob, top, bytes, text }] of logprobs!.entries()) {
      expect(token).toBe(tokens[i]);
      expect(top[0]).toMatchObject({ token, logprob });
      expect(top.map((chance) => chance.logprob)).toEqual(top.map((chance) => chance.logprob).sort((a, b) => b - a));
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top.reduce((sum, chance) => sum + Math.exp(chance.logprob), 0)).toBeLessThan(1 + 1e-6);
      expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(text);
    }
  });

  test("ends before a stop sequence, which is not streamed either", async () => {
    for (const [stop, before, found] of [
      ["square", "An orange ", "square"],
      [["top left", "at the"], "An orange square ", "at the"],
      ["e sq", "An orang", "e sq"],
      [["nothing of it"], ANSWER, undefined],
    ] as const) {
      session.reset();
      const answer = session.generate(picture, { stop });
      const pieces = await piecesOf(answer);
      const result = await answer.result;
      expect(result.text).toBe(before);
      expect(pieces.map(({ text }) => text).join("")).toBe(before);
      expect(result).toMatchObject({ finishReason: "stop", ...(found && { stopString: found }) });
    }
  });

  test("stops early, and the session continues", async () => {
    const answer = session.generate(picture, { minNewTokens: 100, maxNewTokens: 100 });
    let count = 0;
    for await (const { token } of answer) if (token !== undefined && ++count === 3) answer.stop();
    const stopped = await answer.result;
    expect(stopped.finishReason).toBe("stopped");
    expect(stopped.tokens.length).toBeLessThan(40);
    // Leaving the loop is a stop too; before the first token nothing was said.
    for await (const _piece of session.generate("And now?", { minNewTokens: 50 })) break;
    const early = session.generate("What else?");
    early.stop();
    expect(await early.result).toMatchObject({ text: "", finishReason: "stopped" });
    expect(session.messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
    session.reset();
    expect((await session.generate(picture).result).text).toBe(ANSWER);
  });

  test("has the form that was asked for", async () => {
    const schema = { type: "object", properties: { shape: { enum: ["square", "star"] } }, required: ["shape"] };
    const { text } = await session.generate(picture, { schema: { ...schema, additionalProperties: false } }).result;
    expect(["square", "star"]).toContain((JSON.parse(text) as { shape: string }).shape);
    session.reset();
    const { text: colour } = await session.generate(picture, { regex: "(orange|blue) (square|circle)" }).result;
    expect(colour).toMatch(/^(orange|blue) (square|circle)$/);
  });

  test("presence and frequency penalties make an answer less repetitive", async () => {
    const long = { minNewTokens: 40, maxNewTokens: 40 };
    const distinct = async (options: GenerateOptions) => {
      session.reset();
      return new Set((await session.generate("Hello!", { ...long, ...options }).result).tokens).size;
    };
    const plain = await distinct({});
    expect(await distinct({ frequencyPenalty: 3 })).toBeGreaterThan(plain);
    expect(await distinct({ presencePenalty: 4 })).toBeGreaterThan(plain);
  });

  test("options at odds with each other are refused", () => {
    for (const options of [
      { topP: 0.5 },
      { seed: 3 },
      { temperature: 0, topK: 4 },
      { topLogprobs: 3 },
      { minNewTokens: 5, maxNewTokens: 4 },
      { temperature: -1 },
      { temperature: 1, topP: 0 },
      { temperature: 1, seed: 1.5 },
      { stop: "" },
      { stop: ["a", ""] },
      { schema: true, regex: "a" },
      { schema: [] },
      { tempurature: 1 },
    ]) {
      expect(() => session.generate(picture, options as GenerateOptions), JSON.stringify(options)).toThrow(OptionError);
    }
    expect(() => session.generate(picture, { tempurature: 1 } as GenerateOptions)).toThrow(/`temperature`/);
  });
});
