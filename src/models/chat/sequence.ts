import type { PreparedMedium } from "../llava-onevision/processor.js";

/** Token ids `[T]` with a placeholder for every visual token, and the media among them. */
export interface Sequence {
  readonly inputIds: readonly number[];
  readonly media: readonly PreparedMedium[];
}
