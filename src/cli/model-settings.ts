import type { LoadOptions } from "../models/llava-onevision.js";

/** What `ocellus serve` tells its model's process to load. */
export interface ModelSettings {
  readonly where: string;
  /** Model name in requests and responses. */
  readonly name: string;
  readonly options: Pick<LoadOptions, "dtype" | "adapter" | "mergeAdapters" | "revision" | "refresh" | "offline">;
  /** Whether errors are printed with their stack. */
  readonly debug: boolean;
}
