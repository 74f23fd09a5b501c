/** Tensors in files: safetensors, quantised matrices in them, and tensors that belong to no model. */
export * from "./checkpoint/foreign-tensors.js";
export { PIECE_BYTES } from "./checkpoint/indexed-tensor.js";
export * from "./checkpoint/quantized.js";
export * from "./checkpoint/safetensors.js";
