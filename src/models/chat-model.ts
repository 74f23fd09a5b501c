import type { PictureInput } from "../io/picture-input.js";
import type { Answer } from "./answer.js";
import type { AnswerAttention, AttentionOptions } from "./answer-attention.js";
import type { SessionInput, SessionOptions } from "./conversation.js";
import type { EmbedMediaOptions, EmbedTextOptions, MediaEmbedding } from "./embeddings.js";
import type { AppendOptions, GenerateOptions, PromptOptions } from "./generate-options.js";
import type { ChatMessage, VideoContent } from "./llava-onevision/processor.js";
import type { AppendResult, Measurement } from "./measurement.js";

/**
 * What `LlavaOneVision` and `WorkerModel` have in common: a program that takes a ChatModel runs with the model beside it or in a
 * worker.
 */
export interface ChatModel extends Disposable {
  /** A conversation with its own cache. */
  createSession(options?: SessionOptions): ChatSession;
  /** The vectors of a picture. */
  embedImage(image: PictureInput, options?: EmbedMediaOptions): Promise<MediaEmbedding>;
  /** The vectors of a clip's frames. */
  embedVideo(video: Omit<VideoContent, "type">, options?: EmbedMediaOptions): Promise<MediaEmbedding>;
  /** The vector of a text, or of each of several. */
  embedText(text: string, options?: EmbedTextOptions): Promise<Float32Array>;
  embedText(texts: readonly string[], options?: EmbedTextOptions): Promise<Float32Array[]>;
  dispose(): void;
}

/** What `Session` and `WorkerSession` have in common. */
export interface ChatSession extends Disposable {
  readonly messages: readonly ChatMessage[];
  /** Answers the input, which is the next turn or a whole conversation. */
  generate(input: SessionInput, options?: GenerateOptions): Answer;
  /** Computes parts ahead of the question they belong to. */
  append(input: SessionInput, options?: AppendOptions): Promise<AppendResult>;
  /** What a prompt would take if it was asked now. */
  measure(input: SessionInput, options?: PromptOptions): Promise<Measurement>;
  /** What the model looked at when it chose tokens of its last answer. */
  attention(options?: AttentionOptions): Promise<AnswerAttention>;
  /** Another conversation that begins where this one stands. */
  clone(): ChatSession;
  /** Forgets the conversation, but for its system message. */
  reset(): void;
  dispose(): void;
}
