/** Ocellus: LLaVA-OneVision on WebGPU, and the tensor library under it. */

export {
  AbortedError,
  CheckpointError,
  ContextOverflowError,
  DeviceLostError,
  DisposedError,
  type ErrorCode,
  type Fault,
  KernelError,
  LimitError,
  MediaError,
  MissingFeatureError,
  MissingPackageError,
  NoAdapterError,
  NoRoomError,
  OcellusError,
  OptionError,
  OverBudgetError,
  PromptError,
  ShapeError,
  SourceError,
  WorkerError,
} from "./base/errors.js";
export type { CheckpointLocation, DownloadProgress, DownloadSize, HubOptions } from "./io/checkpoint.js";
export { type CachedCheckpoint, cachedCheckpoints, deleteCheckpoint } from "./io/hub.js";
export type { PictureInput, RawPixels } from "./io/picture-input.js";
export type { VideoInput } from "./io/video.js";
export { argmax } from "./kernels/argmax.js";
export { type AttentionShape, attention, type HeadColumns } from "./kernels/attention.js";
export type { Activation, Epilogue } from "./kernels/epilogue.js";
export type { CacheType } from "./kernels/kv-format.js";
export { matmul } from "./kernels/matmul.js";
export { layerNorm, rmsNorm } from "./kernels/norm.js";
export { packMatrix } from "./kernels/pack.js";
export { PackedMatrix, type WeightType } from "./kernels/packed.js";
export { rope } from "./kernels/rope.js";
export { swiglu } from "./kernels/swiglu.js";
export type { LoadProgress, StorageDtype } from "./layers/weights.js";
export type { AnswerProgress } from "./models/chat/answer.js";
export {
  Answer,
  type AnswerPiece,
  type AnswerResult,
  type AnswerTimings,
  type AnswerUsage,
  type TokenChance,
  type TokenLogprob,
} from "./models/chat/answer.js";
export type { AnswerAttention, AttendedMedium, AttentionOptions } from "./models/chat/answer-attention.js";
export type { ChatModel, ChatSession } from "./models/chat/chat-model.js";
export type { ContentPart, SessionInput, SessionOptions } from "./models/chat/conversation.js";
export { cosineSimilarity } from "./models/chat/cosine-similarity.js";
export type { EmbedMediaOptions, EmbedTextOptions, MediaEmbedding } from "./models/chat/embeddings.js";
export type {
  AppendOptions,
  GenerateOptions,
  PromptOptions,
  SamplingOptions,
  StructureOptions,
} from "./models/chat/generate-options.js";
export type { AppendResult, MeasuredMedium, Measurement } from "./models/chat/measurement.js";
export { Session } from "./models/chat/session.js";
export type { Tap } from "./models/chat/taps.js";
export { type ConvertedFile, type ConvertOptions, convertCheckpoint } from "./models/convert.js";
export type { AttentionMap } from "./models/llava-onevision/attention-map.js";
export type { LlavaOneVisionConfig, TextConfig, VisionConfig } from "./models/llava-onevision/config.js";
export type { DtypeByPart } from "./models/llava-onevision/dtype-by-part.js";
export type { SpecialTokens } from "./models/llava-onevision/literal-text.js";
export type {
  ChatMessage,
  ImageContent,
  ImageMode,
  TextContent,
  VideoContent,
} from "./models/llava-onevision/processor.js";
export { LlavaOneVision, type LoadOptions } from "./models/llava-onevision.js";
export type { Estimate, EstimateOptions } from "./models/sizing/estimate.js";
export type { BytesByPart } from "./models/sizing/footprint.js";
export type { MemoryBudget } from "./models/sizing/memory-budget.js";
export type { AdapterFacts, OpenOptions } from "./runtime/adapter.js";
export { Arena } from "./runtime/arena.js";
export { type Counters, Device } from "./runtime/device.js";
export type { DType } from "./runtime/dtype.js";
export { type Binding, type Constants, Kernel, type ParameterField } from "./runtime/kernel.js";
export type { TimedPass } from "./runtime/profile.js";
export { Tensor } from "./runtime/tensor.js";
