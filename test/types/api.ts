import {
  type Answer,
  type AnswerPiece,
  type AnswerResult,
  type ChatMessage,
  type ChatModel,
  type ChatSession,
  Device,
  type Estimate,
  type GenerateOptions,
  LlavaOneVision,
  type Measurement,
  OcellusError,
  type Session,
} from "ocellus";
import { type ErrorCode, OverBudgetError } from "ocellus/errors";
import type { AdapterFacts, Tensor } from "ocellus/tensor";
import { type WorkerAnswer, WorkerModel, type WorkerSession } from "ocellus/worker";
import { type Equal, holds } from "./equal.js";

// What programs may write, and the types that they get for it. Never run: test/types/types.node.test.ts compiles it against the
// published declarations.

declare const model: LlavaOneVision;
declare const file: File;
declare const worker: Worker;

export async function uses(): Promise<void> {
  const loaded = await LlavaOneVision.load("folder", {
    dtype: { vision: "f16", language: "q4" },
    cacheDtype: "f16",
    contextTokens: 4096,
    memoryBudget: { bytes: 2e9, tiles: 4 },
    signal: AbortSignal.timeout(1000),
    onProgress: ({ loadedBytes, totalBytes, tensor }) => [loadedBytes + totalBytes, tensor.length],
    revision: "main",
  });
  holds<Equal<typeof loaded, LlavaOneVision>>();
  await LlavaOneVision.load([file], { dtype: "q8", memoryBudget: 2e9 });
  await LlavaOneVision.load(new URL("https://example.com/model/"));
  holds<Equal<ReturnType<typeof LlavaOneVision.estimate>, Promise<Estimate>>>();
  holds<Equal<Estimate["totalBytes"], number>>();

  using session = model.createSession({ system: "Be brief." });
  holds<Equal<typeof session, Session>>();
  holds<Equal<Session["messages"], readonly ChatMessage[]>>();

  const answer = session.generate("What?");
  holds<Equal<typeof answer, Answer>>();
  for await (const piece of answer) {
    holds<Equal<typeof piece, AnswerPiece>>();
    holds<Equal<typeof piece.text, string>>();
    holds<Equal<typeof piece.token, number | undefined>>();
    holds<Equal<typeof piece.logprob, NonNullable<AnswerResult["logprobs"]>[number] | undefined>>();
  }
  const result = await answer.result;
  holds<Equal<typeof result, AnswerResult>>();
  holds<Equal<typeof result.finishReason, "stop" | "length" | "stopped">>();
  holds<Equal<typeof result.tokens, readonly number[]>>();
  holds<Equal<typeof result.seed, number | undefined>>();
  holds<Equal<typeof result.stopString, string | undefined>>();
  holds<Equal<typeof result.usage.reusedTokens, number>>();
  holds<Equal<typeof result.timings.prefill, number>>();
  holds<Equal<ReturnType<Answer["stop"]>, void>>();

  const parts = [
    { type: "image", image: file },
    { type: "video", video: "clip.mp4", frames: 8, start: 1, end: 2.5 },
    { type: "text", text: "What?" },
  ] as const;
  session.generate(parts, {
    temperature: 0.7,
    topK: 40,
    topP: 0.9,
    minP: 0.05,
    seed: 1,
    repetitionPenalty: 1.1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    stop: ["\n", "."],
    logprobs: true,
    topLogprobs: 5,
    maxNewTokens: 10,
    minNewTokens: 1,
    schema: { type: "object" },
    imageMode: "pad",
    template: "onevision",
    orientation: "ignore",
    onProgress: ({ stage, done, total }) => [stage.length, done + total],
  });
  session.generate([{ role: "user", content: parts }], { regex: "a+", stop: "x" });
  session.generate([{ type: "image", image: new Uint8Array(3) }], { schema: true });
  session.generate([{ type: "image", image: { data: new Uint8ClampedArray(4), width: 1, height: 1 } }], {
    grammar: 'root ::= "a"',
  });
  const conversation: readonly ChatMessage[] = session.messages;
  session.generate(conversation);

  await session.append("The picture:", { signal: AbortSignal.timeout(1) });
  await session.append(parts);
  const measured = await session.measure(parts, { imageMode: "auto" });
  holds<Equal<typeof measured, Measurement>>();
  holds<Equal<typeof measured.promptTokens, number>>();
  holds<Equal<typeof measured.availableTokens, number>>();
  const branch = session.clone();
  holds<Equal<typeof branch, Session>>();
  branch.reset();
  branch.dispose();

  await describe(model);
  const remote = await WorkerModel.load(worker, "https://example.com/model/", { dtype: "q4" });
  await describe(remote);
  const far = remote.createSession();
  holds<Equal<typeof far, WorkerSession>>();
  holds<Equal<ReturnType<typeof far.generate>, WorkerAnswer>>();
  const near: ChatSession = far;
  near.dispose();

  const options: GenerateOptions = {};
  session.generate("What?", options);

  using device = await Device.open();
  holds<Equal<typeof device.facts, AdapterFacts>>();
  const kept = device.scope(() => device.upload(new Float32Array(6), [2, 3], "x"));
  holds<Equal<typeof kept, Tensor>>();
}

async function describe(any: ChatModel): Promise<string> {
  using session = any.createSession();
  const { text } = await session.generate([{ type: "image", image: file }]).result;
  return text;
}

export function codes(error: unknown): string {
  if (!(error instanceof OcellusError)) return "unknown";
  holds<Equal<typeof error.code, ErrorCode>>();
  if (error instanceof OverBudgetError) holds<Equal<typeof error.neededBytes, number>>();
  switch (error.code) {
    case "ABORTED":
    case "CHECKPOINT":
    case "CONTEXT_OVERFLOW":
    case "DEVICE_LOST":
    case "DISPOSED":
    case "KERNEL":
    case "LIMIT":
    case "MEDIA":
    case "MISSING_FEATURE":
    case "MISSING_PACKAGE":
    case "NO_ADAPTER":
    case "NO_ROOM":
    case "OPTION":
    case "OVER_BUDGET":
    case "PROMPT":
    case "SHAPE":
    case "SOURCE":
    case "WORKER":
      return error.fault.remedy;
  }
}
