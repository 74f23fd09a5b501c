import type { CheckpointLocation } from "../io/checkpoint.js";
import type { ConvertedFile, ConvertOptions } from "./converted-files.js";

export type { ConvertedFile, ConvertOptions };

/**
 * Converts a checkpoint to another storage dtype and yields the files of the result, which loads without conversion.
 * Matrices are quantised exactly as during loading; norms, biases and the patch embedding are unchanged. One piece of a matrix is in
 * memory at a time; of a packed checkpoint some panels are. Throws as `LlavaOneVision.load` does.
 */
export async function* convertCheckpoint(
  location: CheckpointLocation,
  options: ConvertOptions,
): AsyncGenerator<ConvertedFile, void, undefined> {
  // On demand: a page that answers questions does not download it.
  const { packed, ...rest } = options;
  if (packed) {
    const { packedCheckpoint } = await import("./packed-files.js");
    yield* packedCheckpoint(location, rest);
    return;
  }
  const { convertedFiles } = await import("./converted-files.js");
  yield* convertedFiles(location, rest);
}
