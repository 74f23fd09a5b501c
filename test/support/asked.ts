import type { GenerateOptions } from "../../src/models/chat/generate-options.js";
import type { Session } from "../../src/models/chat/session.js";
import type { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { exampleFile } from "./examples.js";

// Questions in every way of generating, for models that must answer alike.

/** A question, and how it is asked. */
interface Asked {
  readonly input: Parameters<Session["generate"]>[0];
  readonly options: GenerateOptions;
}

export const LONG = { maxNewTokens: 16, minNewTokens: 16 };

export const ASKED: readonly Asked[] = [
  { input: "What do you see?", options: LONG },
  {
    input: [
      { type: "image", image: await exampleFile("00-shapes.png") },
      { type: "text", text: "What do you see?" },
    ],
    options: { maxNewTokens: 16 },
  },
  { input: "Which shape is orange?", options: { ...LONG, temperature: 0.9, seed: 7, topK: 40, topP: 0.95 } },
  { input: "Name a colour.", options: { ...LONG, repetitionPenalty: 1.3 } },
  { input: "Name a colour.", options: { ...LONG, logprobs: true, topLogprobs: 2 } },
  { input: "How many?", options: { maxNewTokens: 16, regex: "[a-z]{3} [0-9]{2,4}" } },
  { input: "a b c d e f g a b c d e f g a b c d e f g", options: { maxNewTokens: 24 } },
];

/** The parts of an answer that are compared, from a session of its own. */
export async function answerOf(model: LlavaOneVision, { input, options }: Asked): Promise<unknown> {
  using session = model.createSession();
  const { tokens, text, logprobs, finishReason } = await session.generate(input, options).result;
  return { tokens, text, finishReason, logprobs: logprobs?.map(({ logprob }) => logprob) };
}
