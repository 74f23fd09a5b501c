import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { KernelError } from "../../../src/base/errors.js";
import { KVCache } from "../../../src/layers/kv-cache.js";
import { AdaptiveSteps } from "../../../src/models/chat/adaptive-steps.js";
import { decode } from "../../../src/models/chat/decoding.js";
import { PromptPass } from "../../../src/models/chat/prompt-pass.js";
import type { ChatMessage } from "../../../src/models/llava-onevision/processor.js";
import type { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import type { Device } from "../../../src/runtime/device.js";
import { useTiny } from "../../support/tiny-model.js";

// Steps that are recorded ahead: the same tokens however many go together, few reads, few dispatches.

const question: ChatMessage[] = [{ role: "user", content: "What do you see?" }];

const held = useTiny();
let device: Device;
let model: LlavaOneVision;
let weights: number;
beforeAll(() => {
  ({ device, model, weights } = held);
});
afterEach(() => expect(device.pool.liveBytes).toBe(weights));

/** Always as many steps at once. */
class Steady extends AdaptiveSteps {
  constructor(override readonly steps: number) {
    super();
  }
  override start(): void {}
  override learn(): void {}
}

interface Run {
  readonly tokens: number[];
  readonly readbacks: number;
  /** Rows in the cache beyond the prompt's. */
  readonly fed: number;
}

/** Tokens of an answer without end; stops after `stop` of them. */
async function run(
  steps: number,
  maxNewTokens: number,
  options: { stop?: number; penalty?: number } = {},
): Promise<Run> {
  const { text } = model.config;
  const owner = device.arena("test");
  const cache = new KVCache(device, text.layers, text.keyValueHeads * text.headSize);
  try {
    const prompt = await model.internals.processor.prepare(question);
    cache.reserve(prompt.inputIds.length);
    const pass = new PromptPass(model.internals, prompt, owner, {});
    const logits = await pass.prefill(0, cache);
    const before = device.counters.readbacks;
    const tokens: number[] = [];
    const choices = decode(model.internals.network, cache, logits, owner, {
      repetitionPenalty: options.penalty ?? 1,
      minNewTokens: 1000,
      eosTokens: model.config.eosTokens,
      allowed: model.internals.processor.tokenizer.size,
      maxNewTokens,
      adaptiveSteps: new Steady(steps),
      check: () => model.internals.check(),
    });
    for await (const { token } of choices) {
      tokens.push(token);
      if (tokens.length === options.stop) break;
    }
    return { tokens, readbacks: device.counters.readbacks - before, fed: cache.length - prompt.inputIds.length };
  } finally {
    owner.dispose();
    cache.dispose();
  }
}

test.each([1, 1.2])("33 tokens under a penalty of %d take 1 + ⌈32 / steps⌉ reads and are the same", async (penalty) => {
  const one = await run(1, 33, { penalty });
  expect(one.tokens).toHaveLength(33);
  expect(one).toMatchObject({ readbacks: 33, fed: 32 });
  for (const steps of [3, 8, 16]) {
    const several = await run(steps, 33, { penalty });
    expect(several.tokens, `${steps} steps`).toEqual(one.tokens);
    expect(several).toMatchObject({ readbacks: 1 + Math.ceil(32 / steps), fed: 32 });
  }
});

test("an early stop leaves at most two batches of extra steps", async () => {
  const all = await run(4, 40);
  // The first batch is one step, the others four; two are recorded when tokens of the first arrive.
  for (const [stop, steps] of [
    [1, 4],
    [2, 8],
    [5, 8],
    [6, 12],
  ] as const) {
    const { tokens, fed } = await run(4, 40, { stop });
    expect(tokens).toEqual(all.tokens.slice(0, stop));
    expect(fed, `stopped after ${stop}`).toBe(steps);
  }
});

test("logits of which none is a number are a fault, found in what was recorded ahead too", async () => {
  const { text } = model.config;
  const owner = device.arena("test");
  const cache = new KVCache(device, text.layers, text.keyValueHeads * text.headSize);
  cache.reserve(1);
  const logits = owner.run(() =>
    device.upload(new Float32Array(text.vocabulary).fill(Number.NaN), [1, text.vocabulary], "logits"),
  );
  const choices = decode(model.internals.network, cache, logits, owner, {
    repetitionPenalty: 1.5,
    minNewTokens: 0,
    eosTokens: model.config.eosTokens,
    allowed: model.internals.processor.tokenizer.size,
    maxNewTokens: 20,
    adaptiveSteps: new Steady(3),
    check: () => model.internals.check(),
  });
  await expect(choices.next()).rejects.toThrow(KernelError);
  owner.dispose();
  cache.dispose();
  // The device works on.
  expect((await run(3, 5)).tokens).toHaveLength(5);
});

test("an answer takes a read for each batch of steps, and reads no logits", async () => {
  const learn = vi.spyOn(AdaptiveSteps.prototype, "learn").mockImplementation(function (this: AdaptiveSteps) {
    this.steps = 16;
  });
  const session = model.createSession();
  const before = device.counters.readbacks;
  const { usage } = await session.generate(question, { maxNewTokens: 64, minNewTokens: 64, repetitionPenalty: 1.1 })
    .result;
  learn.mockRestore();
  expect(usage.completionTokens).toBe(64);
  // Three single steps until the first duration is known, then 16, 16, 16 and 13.
  expect(device.counters.readbacks - before).toBe(7);
  session.dispose();
});

test("a decoder layer over one row is six dispatches, and eight where norms are not fused", () => {
  const { text } = model.config;
  const cache = new KVCache(device, text.layers, text.keyValueHeads * text.headSize);
  cache.reserve(40);
  const layer = model.internals.network.language.layers[0]!;
  for (const cached of [0, 1, 39]) {
    cache.length = cached;
    const before = device.counters.dispatches;
    device.scope(() => {
      const x = device.upload(new Float32Array(text.width), [1, text.width], "x");
      layer.forward(x, [{ cache, rows: 1 }]);
    });
    expect(device.counters.dispatches - before).toBe(device.facts.broadcastLanes ? 6 : 8);
  }
  cache.dispose();
});
