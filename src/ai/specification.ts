/**
 * The part of the AI SDK's provider specification that Ocellus implements, versions 3 (AI SDK 6) and 4 (AI SDK 7), as structural types:
 * programs without the AI SDK compile too. test/ai compares them with the types of `@ai-sdk/provider`.
 */

/** Version of the specification. AI SDK 6 takes "v3", AI SDK 7 both. */
export type SpecificationVersion = "v3" | "v4";

/** A message of a prompt; its parts are checked when they are read. */
export interface PromptMessage {
  readonly role: string;
  readonly content: unknown;
}

/** Options of a call, as the AI SDK passes them. */
export interface CallOptions {
  prompt: readonly PromptMessage[];
  maxOutputTokens?: number | undefined;
  temperature?: number | undefined;
  stopSequences?: string[] | undefined;
  topP?: number | undefined;
  topK?: number | undefined;
  presencePenalty?: number | undefined;
  frequencyPenalty?: number | undefined;
  responseFormat?:
    | { type: "text" }
    | { type: "json"; schema?: unknown; name?: string; description?: string }
    | undefined;
  seed?: number | undefined;
  tools?: unknown[] | undefined;
  toolChoice?: { type: string } | undefined;
  reasoning?: string | undefined;
  includeRawChunks?: boolean | undefined;
  abortSignal?: AbortSignal | undefined;
  headers?: Record<string, string | undefined> | undefined;
  providerOptions?: Record<string, Record<string, unknown>> | undefined;
}

/** A setting that had no effect, or content that was left out. */
export type Warning = { type: "unsupported"; feature: string; details?: string } | { type: "other"; message: string };

/** Why an answer ended; `raw` is the finish reason of `AnswerResult`. */
export interface FinishReason {
  unified: "stop" | "length" | "other";
  raw: string | undefined;
}

/** Token counts; `cacheRead` were reused from the KV cache. */
export interface Usage {
  inputTokens: { total: number; noCache: number; cacheRead: number; cacheWrite: undefined };
  outputTokens: { total: number; text: number; reasoning: number };
}

/** `providerMetadata.ocellus`: seed, visual tokens, tiles, and the seconds of each stage. */
export type ProviderMetadata = { ocellus: Record<string, number> };

/** A complete answer. */
export interface GenerateResult {
  content: { type: "text"; text: string }[];
  finishReason: FinishReason;
  usage: Usage;
  providerMetadata: ProviderMetadata;
  response: { id: string; timestamp: Date; modelId: string };
  warnings: Warning[];
}

/** A part of a streamed answer. */
export type StreamPart =
  | { type: "stream-start"; warnings: Warning[] }
  | { type: "response-metadata"; id: string; timestamp: Date; modelId: string }
  | { type: "text-start"; id: string }
  | { type: "text-delta"; id: string; delta: string }
  | { type: "text-end"; id: string }
  | { type: "finish"; usage: Usage; finishReason: FinishReason; providerMetadata: ProviderMetadata }
  | { type: "error"; error: unknown };

/** A language model of the AI SDK. */
export interface LanguageModel<V extends SpecificationVersion = SpecificationVersion> {
  readonly specificationVersion: V;
  readonly provider: string;
  readonly modelId: string;
  /** None: the AI SDK downloads URLs itself. */
  readonly supportedUrls: Record<string, RegExp[]>;
  /** Generates an answer; the AI SDK calls it for `generateText`. */
  doGenerate(options: CallOptions): Promise<GenerateResult>;
  /** Generates an answer piece by piece; the AI SDK calls it for `streamText`. */
  doStream(options: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }>;
}

/** An embedding model of the AI SDK, for texts. */
export interface EmbeddingModel<V extends SpecificationVersion = SpecificationVersion> {
  readonly specificationVersion: V;
  readonly provider: string;
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number;
  readonly supportsParallelCalls: boolean;
  /** Returns an embedding of each text; the AI SDK calls it for `embed` and `embedMany`. */
  doEmbed(options: {
    values: string[];
    dimensions?: number | undefined;
    abortSignal?: AbortSignal | undefined;
  }): Promise<{ embeddings: number[][]; warnings: Warning[] }>;
}
