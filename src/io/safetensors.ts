/** Tensors in files: safetensors, quantised matrices in them, packed checkpoints, and tensors that belong to no model. */
export * from "./checkpoint/foreign-tensors.js";
export { LayerHash, PIECE_BYTES } from "./checkpoint/layer-hash.js";
export { type LayerContent, type LayerRange, PackedFileLayout } from "./checkpoint/packed-header.js";
export * from "./checkpoint/packed-layer.js";
export {
  ALIGNMENT_BYTES,
  PADDING,
  PANEL_COLUMNS,
  type PackedContent,
  type PackedLayer,
  type PackedPart,
  type PackedTensor,
  type PackedType,
  packedHead,
  packedMetadata,
} from "./checkpoint/packed-tensors.js";
export * from "./checkpoint/quantized.js";
export * from "./checkpoint/safetensors.js";
