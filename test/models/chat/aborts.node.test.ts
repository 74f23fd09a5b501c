import { expect, test } from "vitest";
import type { GenerateOptions } from "../../../src/models/chat/generate-options.js";
import { exampleFile } from "../../support/examples.js";
import { random } from "../../support/random.js";
import { useTiny } from "../../support/tiny-model.js";

// Aborts at any moment: nothing but the abort is thrown, nothing is left behind, and the next answer is right.

const square = await exampleFile("00-shapes.png");
const star = await exampleFile("01-shapes.png");
const next = random(2026);
const held = useTiny();

const about = (image: typeof square, text: string) =>
  [
    { type: "image", image },
    { type: "text", text },
  ] as const;
const VARIANTS: GenerateOptions[] = [
  {},
  { temperature: 1, topK: 20, topP: 0.9, seed: 1 },
  { frequencyPenalty: 1 },
  { logprobs: true, topLogprobs: 3 },
  { regex: "[a-z ]{8,30}" },
  { stop: "zzz" },
];

const ABORTS = 24;
/** What is under way when an abort comes; "before" is nothing. */
const STAGES = ["before", "vision", "prefill", "decode"];

test(`at least ${ABORTS} random aborts`, { timeout: 300_000 }, async () => {
  const session = held.model.createSession({ system: "Be brief." });
  const truth = await session.generate("Hello!", { maxNewTokens: 8 }).result;
  session.reset();
  const [bytes, blocks] = [held.device.pool.liveBytes, held.device.pool.liveBlocks];
  const stages = new Map<string, number>();
  let [aborted, ended] = [0, 0];
  // Some stages are short, and more aborts may be needed to meet each.
  while (aborted < ABORTS || (stages.size < STAGES.length && aborted < 8 * ABORTS)) {
    const controller = new AbortController();
    const { signal } = controller;
    let [last, events] = ["before", 0];
    // At a moment, or at an event of the progress.
    const timer = next() < 0.5 ? setTimeout(() => controller.abort(), next() * 12) : undefined;
    const after = timer ? Number.POSITIVE_INFINITY : Math.floor(next() * 10);
    if (after === 0) controller.abort();
    const onProgress = ({ stage }: { stage: string }): void => {
      last = stage;
      if (++events >= after) controller.abort();
    };
    const question = about(next() < 0.5 ? square : star, ["What do you see?", "Which shape?"][Math.floor(next() * 2)]!);
    const variant = VARIANTS[Math.floor(next() * VARIANTS.length)]!;
    try {
      if (next() < 0.2) await session.append(question, { signal, onProgress });
      else
        await session.generate(question, { ...variant, minNewTokens: 0, maxNewTokens: 10, signal, onProgress }).result;
      ended++;
      session.reset();
    } catch (error) {
      expect(error).toMatchObject({ name: "AbortError", code: "ABORTED" });
      aborted++;
      stages.set(last, (stages.get(last) ?? 0) + 1);
      expect(session.messages).toHaveLength(1);
    } finally {
      clearTimeout(timer);
    }
  }
  expect((await session.generate("Hello!", { maxNewTokens: 8 }).result).tokens).toEqual(truth.tokens);
  console.log(`${aborted} aborts and ${ended} ends: ${JSON.stringify(Object.fromEntries(stages))}`);
  expect([...stages.keys()]).toEqual(expect.arrayContaining(STAGES));
  // Answers that ended have made the cache larger and visual tokens known; without them all is as it was.
  session.dispose();
  const other = held.model.createSession({ system: "Be brief." });
  const again = await other.generate("Hello!", { maxNewTokens: 8 }).result;
  expect(again.tokens).toEqual(truth.tokens);
  expect([held.device.pool.liveBytes, held.device.pool.liveBlocks]).toEqual([bytes, blocks]);
  const before = held.device.pool.liveBytes;
  for (let i = 0; i < 8; i++) {
    const controller = new AbortController();
    const onProgress = ({ stage }: { stage: string }): void => {
      if (stage === "decode") controller.abort();
    };
    const running = other.generate(about(star, "What?"), { signal: controller.signal, onProgress }).result;
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
    expect(held.device.pool.liveBytes).toBe(before);
  }
  other.dispose();
});
