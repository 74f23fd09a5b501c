/** The tensor library: a device, tensors and their owners, hand-written kernels, layers, packed weights and safetensors. */

export { OcellusError } from "./base/errors.js";
export * as errors from "./errors.js";
export { type CheckpointFiles, openCheckpoint, type TensorIndex } from "./io/checkpoint.js";
export {
  openSafetensors,
  type SafetensorsDType,
  type SafetensorsFile,
  type TensorData,
  type TensorEntry,
  writeSafetensors,
} from "./io/safetensors.js";
export type { ByteSource } from "./io/source.js";
export { blobSource, bytesSource, fileSource, urlSource } from "./io/source.js";
export { argmax } from "./kernels/argmax.js";
export { type AttentionShape, attention, type HeadColumns } from "./kernels/attention.js";
export { copyRows } from "./kernels/copy-rows.js";
export type { Activation, Epilogue } from "./kernels/epilogue.js";
export { gather } from "./kernels/gather.js";
export type { CacheType } from "./kernels/kv-format.js";
export { matmul } from "./kernels/matmul.js";
export { layerNorm, rmsNorm } from "./kernels/norm.js";
export { packMatrix } from "./kernels/pack.js";
export { PackedMatrix, type WeightType } from "./kernels/packed.js";
export { rope } from "./kernels/rope.js";
export { swiglu } from "./kernels/swiglu.js";
export { BidirectionalAttention, CausalAttention, type CausalSizes } from "./layers/attention.js";
export { Embedding } from "./layers/embedding.js";
export { KVCache } from "./layers/kv-cache.js";
export { Linear } from "./layers/linear.js";
export { GatedMLP, MLP } from "./layers/mlp.js";
export { LayerNorm, RMSNorm } from "./layers/norm.js";
export { PatchEmbedding } from "./layers/patch-embedding.js";
export { Rotary } from "./layers/rotary.js";
export type { SequenceRows } from "./layers/sequence-rows.js";
export { type StorageDtype, WeightLoader, Weights } from "./layers/weights.js";
export type { AdapterFacts, OpenOptions } from "./runtime/adapter.js";
export { Arena } from "./runtime/arena.js";
export { Device } from "./runtime/device.js";
export type { DType } from "./runtime/dtype.js";
export { type Binding, type Constants, Kernel, type ParameterField } from "./runtime/kernel.js";
export type { Counters, TimedPass } from "./runtime/profile.js";
export { Tensor } from "./runtime/tensor.js";
export type { Work } from "./runtime/work-budget.js";
