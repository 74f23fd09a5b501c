import { beforeAll, expect, test, vi } from "vitest";
import { AbortedError, LimitError } from "../../../src/base/errors.js";
import type { GenerateOptions } from "../../../src/models/chat/generate-options.js";
import type { Session } from "../../../src/models/chat/session.js";
import { Network } from "../../../src/models/llava-onevision/network.js";
import { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import type { Device } from "../../../src/runtime/device.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { exampleFile } from "../../support/examples.js";
import { useTiny } from "../../support/tiny-model.js";

// Sequences that generate at the same time share their steps, and each has the tokens that it has alone.

const square = await exampleFile("00-shapes.png");
const LONG = { maxNewTokens: 24, minNewTokens: 24 };

const held = useTiny();
let device: Device;
let model: LlavaOneVision;
let weights: number;
beforeAll(() => {
  ({ device, model, weights } = held);
});

/** What a session is asked, and how. */
interface Asked {
  readonly input: Parameters<Session["generate"]>[0];
  readonly options: GenerateOptions;
}

const PICTURE = [
  { type: "image", image: square },
  { type: "text", text: "What do you see?" },
] as const;

const QUESTIONS: readonly Asked[] = [
  { input: "What do you see?", options: LONG },
  { input: PICTURE, options: { maxNewTokens: 24 } },
  { input: "Which shape is orange?", options: { ...LONG, temperature: 0.9, seed: 7, topK: 40, topP: 0.95 } },
  { input: "Which shape is orange?", options: { ...LONG, temperature: 0.9, seed: 8 } },
  { input: "Name a colour.", options: { ...LONG, repetitionPenalty: 1.3 } },
  { input: "Name a colour.", options: { maxNewTokens: 12, minNewTokens: 12, logprobs: true, topLogprobs: 2 } },
  { input: "How many?", options: { maxNewTokens: 24, regex: "[a-z]{3} [0-9]{2,4}" } },
  { input: "How many?", options: { ...LONG, stop: ["e"] } },
  { input: "Which?", options: { maxNewTokens: 24, regex: "[a-z]{4} [0-9]{3}", temperature: 1, seed: 3 } },
];

/** The answer to a question in a session of its own. */
async function answerOf({
  input,
  options,
}: Asked): Promise<{ tokens: readonly number[]; text: string; rest: unknown }> {
  using session = model.createSession();
  const { tokens, text, logprobs, finishReason } = await session.generate(input, options).result;
  return { tokens, text, rest: { finishReason, logprobs: logprobs?.map(({ logprob }) => logprob) } };
}

/** Runs `work` and returns the numbers of sequences of the steps that were shared. */
async function sharedSteps(work: () => Promise<unknown>): Promise<number[]> {
  const all = vi.spyOn(Network.prototype, "stepAll");
  try {
    await work();
    return all.mock.calls.map(([, sequences]) => sequences.length);
  } finally {
    all.mockRestore();
  }
}

test("answers to questions asked at once are those of each alone, in steps that they share", async () => {
  const alone = [];
  for (const asked of QUESTIONS) alone.push(await answerOf(asked));
  let together: unknown;
  const steps = await sharedSteps(async () => {
    together = await Promise.all(QUESTIONS.map(answerOf));
  });
  expect(together).toEqual(alone);
  expect(Math.max(...steps)).toBeGreaterThanOrEqual(6);
  const tokens = alone.reduce((sum, { tokens }) => sum + tokens.length, 0);
  expect(steps.length).toBeLessThan(0.6 * tokens);
  expect(device.pool.liveBytes).toBe(weights);
});

test("of twenty sequences at most sixteen share a step, and all are answered", async () => {
  const options = { maxNewTokens: 10, minNewTokens: 10, temperature: 1 };
  const questions = Array.from({ length: 20 }, (_, seed) => ({
    input: "Name a colour.",
    options: { ...options, seed },
  }));
  const alone = [];
  for (const asked of questions) alone.push(await answerOf(asked));
  let together: unknown;
  const steps = await sharedSteps(async () => {
    together = await Promise.all(questions.map(answerOf));
  });
  expect(together).toEqual(alone);
  expect(Math.max(...steps)).toBe(16);
});

test("a sequence alone shares nothing, and takes the steps that it takes without others", async () => {
  const spy = vi.spyOn(Network.prototype, "step");
  await answerOf(QUESTIONS[0]!);
  expect(spy.mock.calls.length).toBeGreaterThanOrEqual(23);
  spy.mockRestore();
});

test("an aborted sequence leaves, and the others go on", async () => {
  const [first, , second] = QUESTIONS;
  const alone = [await answerOf(first!), await answerOf(second!)];
  const abort = new AbortController();
  using session = model.createSession();
  let tokens = 0;
  const aborted = session.generate("What do you see?", {
    ...LONG,
    signal: abort.signal,
    onProgress: ({ stage, done }) => {
      if (stage === "decode") tokens = done;
      if (tokens === 5) abort.abort();
    },
  });
  const [failure, ...others] = await Promise.all([
    aborted.result.catch((error: unknown) => error),
    answerOf(first!),
    answerOf(second!),
  ]);
  expect(failure).toBeInstanceOf(AbortedError);
  expect(others).toEqual(alone);
});

test("an error of the device reaches every sequence of the step, and later answers are right", async () => {
  const alone = await answerOf(QUESTIONS[0]!);
  const failing = vi.spyOn(Network.prototype, "stepAll");
  let calls = 0;
  const real = Network.prototype.stepAll;
  failing.mockRestore();
  Network.prototype.stepAll = function (this: Network, ids, sequences) {
    if (sequences.length > 1 && ++calls === 3) throw new Error("no memory for this step");
    return real.call(this, ids, sequences);
  };
  try {
    const results = await Promise.allSettled([answerOf(QUESTIONS[0]!), answerOf(QUESTIONS[2]!)]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  } finally {
    Network.prototype.stepAll = real;
  }
  expect(await answerOf(QUESTIONS[0]!)).toEqual(alone);
  expect(device.pool.liveBytes).toBe(weights);
});

/** Begins an answer of so many tokens; resolves when it decodes. */
async function begun(session: Session, tokens: number): Promise<{ readonly answer: ReturnType<Session["generate"]> }> {
  let begin = (_: unknown): void => {};
  const decodes = new Promise((resolve) => {
    begin = resolve;
  });
  const onProgress = ({ stage }: { stage: string }) => stage === "decode" && begin(undefined);
  const answer = session.generate("What do you see?", { maxNewTokens: tokens, minNewTokens: tokens, onProgress });
  await decodes;
  return { answer };
}

test("a session that joins later is prefilled in chunks between the steps of the others", async () => {
  const asked = { input: "a b c d e f g h ".repeat(12), options: { ...LONG, maxNewTokens: 8, minNewTokens: 8 } };
  const alone = await answerOf(asked);
  const limited = await LlavaOneVision.load(await checkpointFiles(TINY), { device, prefillRows: 32 });
  try {
    using running = limited.createSession();
    using late = limited.createSession();
    const chunks: number[] = [];
    const { answer: first } = await begun(running, 64);
    const second = await late.generate(asked.input, {
      ...asked.options,
      onProgress: ({ stage, done }) => stage === "prefill" && chunks.push(done),
    }).result;
    expect(second.tokens).toEqual(alone.tokens);
    expect(chunks.length).toBeGreaterThan(3);
    expect(Math.max(...chunks.slice(1).map((done, i) => done - chunks[i]!))).toBeLessThanOrEqual(32);
    expect((await first.result).tokens).toHaveLength(64);
  } finally {
    limited.dispose();
  }
});

test("prompts have the device for as long between two steps as the load option says", async () => {
  const stepsBeside = async (prefillMs: number): Promise<number> => {
    const limited = await LlavaOneVision.load(await checkpointFiles(TINY), { device, prefillRows: 16, prefillMs });
    try {
      using running = limited.createSession();
      using late = limited.createSession();
      const { answer: first } = await begun(running, 400);
      const steps = vi.spyOn(Network.prototype, "stepAll");
      let beside: number | undefined;
      await late.generate("a b c d e f g h ".repeat(12), {
        maxNewTokens: 1,
        onProgress: ({ stage }) => {
          if (stage === "decode") beside ??= steps.mock.calls.length;
        },
      }).result;
      steps.mockRestore();
      first.stop();
      await first.result;
      return beside!;
    } finally {
      limited.dispose();
    }
  };
  const [often, seldom] = [await stepsBeside(0), await stepsBeside(100_000)];
  // 200 rows are 13 chunks.
  expect(often).toBeGreaterThan(8);
  expect(seldom).toBeLessThan(often / 2);
});

test("where keys and values of two sessions do not fit, one waits for the other; both answers are those of each alone", async () => {
  const questions = [QUESTIONS[0]!, QUESTIONS[2]!].map(({ input, options }) => ({
    input: `${"a b c d e f g h ".repeat(8)}${input}`,
    options: { ...options, maxNewTokens: 64, minNewTokens: 64 },
  }));
  const alone = [];
  for (const asked of questions) alone.push(await answerOf(asked));
  const { kvPool } = model.internals;
  const make = device.empty.bind(device);
  // Room for 256 rows: one of them needs fewer.
  const empty = vi.spyOn(device, "empty").mockImplementation((shape, dtype, label) => {
    if (label.startsWith("cache.") && shape[0]! > 256)
      throw new LimitError({ where: label, expected: "256 rows", got: `${shape[0]}`, remedy: "" });
    return make(shape, dtype, label);
  });
  try {
    const before = kvPool.preemptions;
    using idle = model.createSession();
    await idle.generate(questions[0]!.input, { maxNewTokens: 1 }).result;
    expect(await Promise.all(questions.map(answerOf))).toEqual(alone);
    expect(kvPool.preemptions).toBeGreaterThan(before);
    // What does not fit alone is an error.
    await expect(answerOf({ input: "a b c d e f g h ".repeat(40), options: LONG })).rejects.toThrow(LimitError);
  } finally {
    empty.mockRestore();
  }
  expect(kvPool.usedBlocks).toBe(0);
});
