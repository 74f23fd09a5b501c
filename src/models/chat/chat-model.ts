import type { PictureInput } from "../../io/picture-input.js";
import type { LoadProgress } from "../../layers/weights.js";
import type { ChatMessage, VideoContent } from "../llava-onevision/processor.js";
import type { Answer } from "./answer.js";
import type { AnswerAttention, AttentionOptions } from "./answer-attention.js";
import type { SessionInput, SessionOptions } from "./conversation.js";
import type { EmbedMediaOptions, EmbedTextOptions, MediaEmbedding } from "./embeddings.js";
import type { AppendOptions, GenerateOptions, PromptOptions } from "./generate-options.js";
import type { AppendResult, Measurement } from "./measurement.js";

/**
 * The common interface of `LlavaOneVision` and `WorkerModel`: programs that accept a ChatModel run with the model on the same thread or in
 * a worker.
 */
export interface ChatModel extends Disposable {
  /** Creates a conversation with its own KV cache. */
  createSession(options?: SessionOptions): ChatSession;
  /** Computes the embeddings of a picture. */
  embedImage(image: PictureInput, options?: EmbedMediaOptions): Promise<MediaEmbedding>;
  /** Computes the embeddings of a clip's frames. */
  embedVideo(video: Omit<VideoContent, "type">, options?: EmbedMediaOptions): Promise<MediaEmbedding>;
  /** Computes the embedding of a text, or of each of several. */
  embedText(text: string, options?: EmbedTextOptions): Promise<Float32Array>;
  embedText(texts: readonly string[], options?: EmbedTextOptions): Promise<Float32Array[]>;
  /** Loads the weights again, onto another device; sessions keep their conversations. */
  reload(options?: {
    readonly signal?: AbortSignal;
    readonly onProgress?: (progress: LoadProgress) => void;
  }): Promise<void>;
  dispose(): void;
}

/** The common interface of `Session` and `WorkerSession`. */
export interface ChatSession extends Disposable {
  readonly messages: readonly ChatMessage[];
  /** Answers the input: the next turn, or a whole conversation. */
  generate(input: SessionInput, options?: GenerateOptions): Answer;
  /** Prefills parts ahead of the question they belong to. */
  append(input: SessionInput, options?: AppendOptions): Promise<AppendResult>;
  /** Counts the tokens and tiles of a prompt without running the model. */
  measure(input: SessionInput, options?: PromptOptions): Promise<Measurement>;
  /** Returns attention maps of the last answer. */
  attention(options?: AttentionOptions): Promise<AnswerAttention>;
  /** Forks the conversation. */
  clone(): ChatSession;
  /** Clears the conversation, except its system prompt. */
  reset(): void;
  dispose(): void;
}
