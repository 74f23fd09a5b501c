/** Checkpoints: the named files of a folder, a URL or a repository, and the index of their tensors. */
export * from "./checkpoint/checkpoint.js";
export { EXAMPLE_ID } from "./checkpoint/file-kind.js";
export { type LoraConfig, readLoraConfig } from "./checkpoint/lora-config.js";
