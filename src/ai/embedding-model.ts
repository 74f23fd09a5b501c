import { OptionError } from "../base/errors.js";
import type { ChatModel } from "../models/chat/chat-model.js";
import type { EmbeddingModel, SpecificationVersion } from "./specification.js";

/** As many as `POST /v1/embeddings` takes. */
const MOST_TEXTS = 2048;

/** An embedding model of the AI SDK over `embedText`. */
export class TextEmbeddingModel<V extends SpecificationVersion> implements EmbeddingModel<V> {
  readonly provider = "ocellus";
  readonly maxEmbeddingsPerCall = MOST_TEXTS;
  readonly supportsParallelCalls = false;

  constructor(
    private readonly model: ChatModel,
    readonly modelId: string,
    readonly specificationVersion: V,
  ) {}

  /** Computes the embeddings of texts. Throws the signal's reason after an abort, and errors of `embedText`. */
  async doEmbed({
    values,
    dimensions,
    abortSignal: signal,
  }: Parameters<EmbeddingModel["doEmbed"]>[0]): ReturnType<EmbeddingModel["doEmbed"]> {
    if (dimensions !== undefined) {
      throw new OptionError({
        where: "ocellus/ai, dimensions",
        expected: "none",
        got: String(dimensions),
        remedy: "leave it out: the model determines the dimensions",
      });
    }
    try {
      const vectors = await this.model.embedText(values, { ...(signal && { signal }) });
      return { embeddings: vectors.map((vector) => [...vector]), warnings: [] };
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  }
}
