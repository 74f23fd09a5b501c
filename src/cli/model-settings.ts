import type { ModelLoadOptions } from "./model-options.js";

/** What `ocellus serve` tells its model's process to load. */
export interface ModelSettings {
  readonly where: string;
  /** Model name in requests and responses. */
  readonly name: string;
  readonly options: ModelLoadOptions;
  /** Adapters that share the model's layers, by number or name; WebGPU's choice if there are none. */
  readonly devices: readonly string[];
  /** Requests that are answered at once, which share steps. */
  readonly sequences: number;
  /** Whether errors are printed with their stack. */
  readonly debug: boolean;
}
