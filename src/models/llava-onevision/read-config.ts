import { CheckpointError, OptionError, shown } from "../../base/errors.js";
import type { CheckpointFiles, TensorIndex } from "../../io/checkpoint.js";
import type { JsonValue } from "../../io/text.js";
import { type LlavaOneVisionConfig, parseConfig } from "./config.js";

/** Files that loading reads besides the weights, if present. */
export const CONFIG_FILES = [
  "config.json",
  "preprocessor_config.json",
  "processor_config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
  "model.safetensors.index.json",
] as const;

/**
 * Reads the config of a checkpoint with opened weights; `configJson` is its config.json. `contextTokens`: maximum sequence length, the
 * checkpoint's if not given.
 * Throws CheckpointError, SourceError, and OptionError for a length beyond the checkpoint's maximum.
 */
export async function readConfig(
  files: CheckpointFiles,
  configJson: JsonValue,
  index: TensorIndex,
  contextTokens?: number,
): Promise<LlavaOneVisionConfig> {
  const [preprocessor, processor, generation] = await Promise.all([
    files.json("preprocessor_config.json"),
    files.json("processor_config.json"),
    files.json("generation_config.json"),
  ]);
  const config = parseConfig(configJson, { preprocessor, processor, generation, tensorShapes: index.shapes });
  if (contextTokens === undefined) return config;
  const { maxPositions } = config.text;
  if (!(Number.isInteger(contextTokens) && contextTokens > 0 && contextTokens <= maxPositions)) {
    throw new OptionError({
      where: "contextTokens",
      expected: `a whole number from 1 to ${maxPositions}, the model's longest sequence`,
      got: shown(contextTokens),
      remedy: "leave it out for the longest sequence",
    });
  }
  return { ...config, text: { ...config.text, maxPositions: contextTokens } };
}

/** Adds the checkpoint's name to an error that has only the file's name. */
export function inCheckpoint(name: string, cause: unknown): unknown {
  if (!(cause instanceof CheckpointError) || cause.fault.where.includes(name)) return cause;
  return new CheckpointError({ ...cause.fault, where: `${name}: ${cause.fault.where}` });
}
