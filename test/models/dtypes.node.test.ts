import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { agreement, type Judgement, judge } from "../../src/bench/agreement.js";
import { tinyCheckpoint, tinyExamples } from "../../src/cli/tiny-checkpoint.js";
import type { ChatMessage } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";

// Fewer bits a weight, on the trained checkpoint: bench/dtypes.mjs asks all of the bundled questions, these are some of them.

const QUESTIONS: readonly (readonly [files: readonly string[], question: string])[] = [
  [["00-shapes.png"], "What do you see?"],
  [["06-table.png"], "Describe the image."],
  [["09-pair-1.png", "09-pair-2.png"], "What changed?"],
];

function messages([files, question]: (typeof QUESTIONS)[number]): ChatMessage[] {
  const images = files.map((file) => ({ type: "image" as const, image: join(tinyExamples(), file) }));
  return [{ role: "user", content: [...images, { type: "text", text: question }] }];
}

let truth: { text: string; tokens: readonly number[]; judgement: Judgement }[];
let model: LlavaOneVision;

async function answers(): Promise<{ text: string; tokens: readonly number[] }[]> {
  const all: { text: string; tokens: readonly number[] }[] = [];
  for (const question of QUESTIONS) {
    const session = model.createSession();
    all.push(await session.generate(messages(question)).result);
    session.dispose();
  }
  return all;
}

beforeAll(async () => {
  model = await LlavaOneVision.load(tinyCheckpoint(), { dtype: "f32" });
  truth = [];
  for (const [i, { text, tokens }] of (await answers()).entries()) {
    truth.push({ text, tokens, judgement: await judge(model, messages(QUESTIONS[i]!), tokens) });
  }
  model.dispose();
});

describe.each([
  ["f16", 1],
  ["q8", 0.995],
  ["q4", 0.97],
] as const)("%s", (dtype, least) => {
  beforeAll(async () => {
    model = await LlavaOneVision.load(tinyCheckpoint(), { dtype });
  });
  afterAll(() => model.dispose());

  test(`at least ${100 * least} % of the argmax tokens agree with f32`, async () => {
    let [same, rows] = [0, 0];
    for (const [i, { tokens, judgement }] of truth.entries()) {
      const one = agreement(judgement, await judge(model, messages(QUESTIONS[i]!), tokens));
      same += one.same;
      rows += one.rows;
      // Where weights are rounded the distributions differ, or the type was not used at all.
      if (dtype !== "f16") expect(one.divergence).toBeGreaterThan(0);
    }
    expect(rows).toBeGreaterThan(30);
    expect(same / rows).toBeGreaterThanOrEqual(least);
  });

  if (dtype === "f16") {
    test("greedy text is that of f32", async () => {
      expect((await answers()).map(({ text }) => text)).toEqual(truth.map(({ text }) => text));
    });
  }
});
