/** Ocellus: LLaVA-OneVision on WebGPU. The tensor library under it is `ocellus/tensor`. */

export { OcellusError } from "./base/errors.js";
export * as errors from "./errors.js";
export type { CheckpointLocation, DownloadProgress } from "./io/checkpoint.js";
export { type CachedCheckpoint, cachedCheckpoints, deleteCheckpoint } from "./io/hub.js";
export type { PictureInput } from "./io/picture-input.js";
export type { VideoInput } from "./io/video.js";
export type { LoadProgress, StorageDtype } from "./layers/weights.js";
export { Answer, type AnswerPiece, type AnswerProgress, type AnswerResult } from "./models/chat/answer.js";
export type { AnswerAttention, AttendedMedium, AttentionOptions } from "./models/chat/answer-attention.js";
export type { ChatModel, ChatSession } from "./models/chat/chat-model.js";
export type { ContentPart, SessionInput, SessionOptions } from "./models/chat/conversation.js";
export { cosineSimilarity } from "./models/chat/cosine-similarity.js";
export type { EmbedMediaOptions, EmbedTextOptions, MediaEmbedding } from "./models/chat/embeddings.js";
export type { AppendOptions, GenerateOptions, PromptOptions } from "./models/chat/generate-options.js";
export type { MeasuredMedium, Measurement } from "./models/chat/measurement.js";
export { Session } from "./models/chat/session.js";
export { convertCheckpoint } from "./models/convert.js";
export type { AttentionMap } from "./models/llava-onevision/attention-map.js";
export type { ChatMessage } from "./models/llava-onevision/processor.js";
export { LlavaOneVision, type LoadOptions } from "./models/llava-onevision.js";
export type { Estimate } from "./models/sizing/estimate.js";
export { Device } from "./runtime/device.js";
