import { unlessAborted } from "../../base/abort.js";
import { Readback } from "../../runtime/readback.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { Network } from "../llava-onevision/network.js";
import type { Sampler } from "./sampler.js";

/** A token of the answer, and its logits `[V]` if `readLogits` is set. */
export interface Choice {
  readonly token: number;
  readonly logits: Float32Array | undefined;
}

export interface ReadOptions {
  /** Whether to return the logits of each token, at the cost of one readback per step. */
  readonly readLogits?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Readbacks of a batch: its tokens, and the logits of one step. */
export class Reads {
  readonly #tokens: Readback;
  readonly #logits: Readback | undefined;

  constructor(
    network: Network,
    readonly options: ReadOptions,
    /** Most tokens of a batch. */
    most: number,
  ) {
    this.#tokens = new Readback(network.device, most * 4, "tokens");
    if (options.readLogits) this.#logits = new Readback(network.device, network.config.text.vocabulary * 4, "logits");
  }

  get arrivedAt(): number | undefined {
    return this.#tokens.arrivedAt;
  }

  copyLogits(logits: Tensor): void {
    this.#logits?.begin(logits);
  }

  begin(sampler: Sampler, steps: number): void {
    this.#tokens.begin(sampler.answer, steps * 4);
  }

  async choices(sampler: Sampler): Promise<Choice[]> {
    const { signal } = this.options;
    const bytes = await unlessAborted(this.#tokens.bytes(), signal, "generating");
    const tokens = new Uint32Array(bytes);
    const logits = this.#logits && new Float32Array(await unlessAborted(this.#logits.bytes(), signal, "generating"));
    return Array.from(tokens, (token) => {
      sampler.check(token);
      return { token, logits };
    });
  }

  dispose(): void {
    this.#tokens.dispose();
    this.#logits?.dispose();
  }
}
