import type { Answer } from "./answer.js";
import type { SessionInput, SessionOptions } from "./conversation.js";
import type { AppendOptions, GenerateOptions, PromptOptions } from "./generate-options.js";
import type { ChatMessage } from "./llava-onevision/processor.js";
import type { AppendResult, Measurement } from "./measurement.js";

/**
 * What `LlavaOneVision` and `WorkerModel` have in common: a program that takes a ChatModel runs with the model beside it or in a
 * worker.
 */
export interface ChatModel extends Disposable {
  createSession(options?: SessionOptions): ChatSession;
  dispose(): void;
}

/** What `Session` and `WorkerSession` have in common. */
export interface ChatSession extends Disposable {
  readonly messages: readonly ChatMessage[];
  generate(input: SessionInput, options?: GenerateOptions): Answer;
  append(input: SessionInput, options?: AppendOptions): Promise<AppendResult>;
  measure(input: SessionInput, options?: PromptOptions): Promise<Measurement>;
  clone(): ChatSession;
  reset(): void;
  dispose(): void;
}
