import { MissingFeatureError } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { AnswerResult } from "../models/chat/answer.js";
import type { ContentPart } from "../models/chat/conversation.js";
import type { GenerateOptions } from "../models/chat/generate-options.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";
import type { AnswerRun, AnswerRuns } from "../openai/answer-runs.js";
import { samplingOptions } from "../openai/generation.js";
import { readPrompt } from "./prompt.js";
import type {
  CallOptions,
  FinishReason,
  GenerateResult,
  LanguageModel,
  ProviderMetadata,
  SpecificationVersion,
  StreamPart,
  Usage,
  Warning,
} from "./specification.js";

/** Names of `providerOptions.ocellus`, options of `GenerateOptions` that the AI SDK has no name for. */
const OWN_OPTIONS = [
  "imageMode",
  "template",
  "orientation",
  "minP",
  "repetitionPenalty",
  "logitBias",
  "minNewTokens",
  "regex",
  "grammar",
] as const satisfies readonly (keyof GenerateOptions)[];

/** Requests of one id in the text stream. */
const TEXT_ID = "0";

/** A language model of the AI SDK over the sessions of a model. */
export class SessionLanguageModel<V extends SpecificationVersion> implements LanguageModel<V> {
  readonly provider = "ocellus";
  readonly supportedUrls: Record<string, RegExp[]> = {};

  constructor(
    private readonly runs: AnswerRuns,
    readonly modelId: string,
    readonly specificationVersion: V,
  ) {}

  /** Returns the complete answer. Throws the signal's reason after an abort, and errors of sessions. */
  async doGenerate(options: CallOptions): Promise<GenerateResult> {
    return orReason(options.abortSignal, async () => {
      const { run, warnings } = await this.#start(options);
      const result = await (await run.answers[0]).result;
      return {
        content: [{ type: "text", text: result.text }],
        finishReason: finishReasonOf(result),
        usage: usageOf(result),
        providerMetadata: metadataOf(result),
        response: this.#response(),
        warnings,
      };
    });
  }

  /** Streams the answer; canceling the stream aborts generation. Errors of the request are thrown here, others are parts. */
  async doStream(options: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }> {
    const { run, warnings } = await orReason(options.abortSignal, () => this.#start(options));
    const parts = this.#parts(run, warnings, options.abortSignal);
    const stream = new ReadableStream<StreamPart>({
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => run.abort(),
    });
    return { stream };
  }

  async *#parts(run: AnswerRun, warnings: Warning[], signal?: AbortSignal): AsyncGenerator<StreamPart, void, void> {
    yield { type: "stream-start", warnings };
    yield { type: "response-metadata", ...this.#response() };
    yield { type: "text-start", id: TEXT_ID };
    try {
      const answer = await run.answers[0];
      for await (const { text } of answer) if (text !== "") yield { type: "text-delta", id: TEXT_ID, delta: text };
      yield { type: "text-end", id: TEXT_ID };
      const result = await answer.result;
      yield {
        type: "finish",
        usage: usageOf(result),
        finishReason: finishReasonOf(result),
        providerMetadata: metadataOf(result),
      };
    } catch (error) {
      yield { type: "error", error: signal?.aborted ? signal.reason : error };
    }
  }

  async #start(options: CallOptions): Promise<{ run: AnswerRun; warnings: Warning[] }> {
    const warnings: Warning[] = [];
    const generate = generateOptionsOf(options, warnings);
    const messages = readPrompt(options.prompt, warnings);
    const run = await this.runs.start({
      where: "ocellus/ai",
      conversation: messages.map(markOf),
      read: async () => ({ messages }),
      options: generate,
      signal: options.abortSignal,
    });
    return { run, warnings };
  }

  #response(): GenerateResult["response"] {
    return { id: `ocellus-${crypto.randomUUID()}`, timestamp: new Date(), modelId: this.modelId };
  }
}

/** Runs `work`; after an abort throws the signal's reason, as the AI SDK expects. */
async function orReason<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw signal?.aborted ? signal.reason : error;
  }
}

function generateOptionsOf(options: CallOptions, warnings: Warning[]): GenerateOptions {
  const { tools, toolChoice, reasoning, responseFormat } = options;
  if (tools && tools.length > 0 && toolChoice?.type !== "none") {
    throw new MissingFeatureError({
      where: "ocellus/ai, tools",
      expected: "none",
      got: `${tools.length}`,
      remedy: "leave tools out: the model does not call any; Output.object constrains its answer to a schema",
    });
  }
  if (reasoning !== undefined && !["provider-default", "none"].includes(reasoning)) {
    warnings.push({ type: "unsupported", feature: "reasoning", details: "the model is not a reasoning model" });
  }
  const own = (options.providerOptions?.ocellus ?? {}) as GenerateOptions;
  checkOptions("ocellus/ai, providerOptions.ocellus", own, OWN_OPTIONS);
  const { minP, ...others } = own;
  const given = {
    maxNewTokens: options.maxOutputTokens,
    presencePenalty: options.presencePenalty,
    frequencyPenalty: options.frequencyPenalty,
    stop: options.stopSequences?.length ? options.stopSequences : undefined,
    schema: responseFormat?.type === "json" ? (responseFormat.schema ?? { type: "object" }) : undefined,
    ...others,
    ...samplingOptions({ ...options, minP }),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as GenerateOptions;
}

/** What distinguishes messages: texts, and of media the length and the end. */
function markOf({ role, content }: ChatMessage): unknown {
  if (typeof content === "string") return [role, content];
  return [role, ...content.map(partMark)];
}

function partMark(part: ContentPart): unknown {
  if (part.type === "text") return part.text;
  const bytes = (part.type === "image" ? part.image : part.video) as Uint8Array;
  return [part.type, bytes.length, ...bytes.subarray(-64)];
}

function finishReasonOf({ finishReason: raw }: AnswerResult): FinishReason {
  return { unified: raw === "stopped" ? "other" : raw, raw };
}

function usageOf({ usage }: AnswerResult): Usage {
  const { promptTokens, reusedTokens, completionTokens } = usage;
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - reusedTokens,
      cacheRead: reusedTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: completionTokens, text: completionTokens, reasoning: 0 },
  };
}

function metadataOf({ usage, timings, seed }: AnswerResult): ProviderMetadata {
  const { preprocess, vision, prefill, decode } = timings;
  const { visualTokens, tiles } = usage;
  return { ocellus: { visualTokens, tiles, preprocess, vision, prefill, decode, ...(seed !== undefined && { seed }) } };
}
