/** Packed checkpoints: their layers, hashes and headers. Loaded with the first packed file, and to write one. */
export { LayerHash } from "./checkpoint/layer-hash.js";
export { type LayerContent, type LayerRange, PackedFileLayout } from "./checkpoint/packed-header.js";
export { type LayerPiece, readLayer, verifyLayers } from "./checkpoint/packed-layer.js";
export {
  PANEL_COLUMNS,
  type PackedContent,
  type PackedLayer,
  type PackedPart,
  type PackedTensor,
  type PackedType,
} from "./checkpoint/packed-tensors.js";
