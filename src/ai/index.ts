/** A provider for the AI SDK (https://ai-sdk.dev) over a model in this program or in a worker. */
import { OptionError } from "../base/errors.js";
import type { ChatModel } from "../models/chat/chat-model.js";
import { AnswerRuns, type AnswerRunsOptions, checkRunOptions } from "../openai/answer-runs.js";
import { TextEmbeddingModel } from "./embedding-model.js";
import { SessionLanguageModel } from "./language-model.js";
import type { EmbeddingModel, LanguageModel, SpecificationVersion } from "./specification.js";

export type { AnswerRunsOptions } from "../openai/answer-runs.js";
export type {
  CallOptions,
  EmbeddingModel,
  FinishReason,
  GenerateResult,
  LanguageModel,
  PromptMessage,
  ProviderMetadata,
  SpecificationVersion,
  StreamPart,
  Usage,
  Warning,
} from "./specification.js";

/** Options of {@link createOcellus}. */
export interface OcellusProviderOptions<V extends SpecificationVersion = "v3"> extends AnswerRunsOptions {
  /**
   * Version of the provider specification: "v3" if not given, which AI SDK 6 and 7 take alike; "v4" is that of AI SDK 7. Both do the same
   * here.
   */
  specification?: V;
}

/** A provider of the AI SDK with one model. Ids are labels that appear in results and logs. */
export interface OcellusProvider<V extends SpecificationVersion = "v3"> {
  /** The language model, called `modelId` ("ocellus" if not given). */
  (modelId?: string): LanguageModel<V>;
  readonly specificationVersion: V;
  /** The same as calling the provider. */
  languageModel(modelId?: string): LanguageModel<V>;
  /** Text embeddings. */
  embeddingModel(modelId?: string): EmbeddingModel<V>;
  /** The older name of `embeddingModel`. */
  textEmbeddingModel(modelId?: string): EmbeddingModel<V>;
  /** Throws OptionError: the model makes no pictures. */
  imageModel(modelId?: string): never;
  /** Disposes the cached sessions; the caller disposes the model. */
  dispose(): void;
}

const NAME = "ocellus";

/**
 * Creates a provider over a `LlavaOneVision` or a `WorkerModel`: text, pictures and clips (`file` parts of `image/…` and `video/…`),
 * streaming, structured output, embeddings, abort and usage. Throws OptionError.
 * @example
 * ```ts
 * import { generateText } from "ai";
 * import { LlavaOneVision } from "ocellus";
 * import { createOcellus } from "ocellus/ai";
 *
 * const ocellus = createOcellus(await LlavaOneVision.load("llava-hf/llava-onevision-qwen2-0.5b-ov-hf"));
 * const { text } = await generateText({ model: ocellus(), prompt: "What is a pelican?" });
 * ```
 */
export function createOcellus<V extends SpecificationVersion = "v3">(
  model: ChatModel,
  options: OcellusProviderOptions<V> = {},
): OcellusProvider<V> {
  checkRunOptions("createOcellus", options, ["specification"]);
  const version = options.specification ?? ("v3" as V);
  if (!["v3", "v4"].includes(version)) {
    throw new OptionError({
      where: "createOcellus, specification",
      expected: '"v3" or "v4"',
      got: String(version),
      remedy: "leave it out: AI SDK 6 and 7 both take the default",
    });
  }
  const runs = new AnswerRuns(model, "createOcellus", options);
  const languageModel = (modelId = NAME): LanguageModel<V> => new SessionLanguageModel(runs, modelId, version);
  const embeddingModel = (modelId = NAME): EmbeddingModel<V> => new TextEmbeddingModel(model, modelId, version);
  return Object.assign((modelId?: string) => languageModel(modelId), {
    specificationVersion: version,
    languageModel,
    embeddingModel,
    textEmbeddingModel: embeddingModel,
    imageModel: (): never => {
      throw new OptionError({
        where: "ocellus.imageModel",
        expected: "languageModel or embeddingModel",
        got: "imageModel",
        remedy: "use another provider: the model reads pictures and makes none",
      });
    },
    dispose: () => runs.dispose(),
  });
}
