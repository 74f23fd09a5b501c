import { KernelError } from "../../base/errors.js";
import { Arena } from "../../runtime/arena.js";
import type { ModelInternals } from "./model-internals.js";
import { PromptPass } from "./prompt-pass.js";
import type { Sequence } from "./sequence.js";
import { TapRecorder } from "./taps.js";

/** Finds the first intermediate with a number that is not finite, and drops their values. */
class FiniteCheck extends TapRecorder {
  /** Names of such intermediates, in their order. */
  readonly #found: Promise<string | undefined>[] = [];

  override add(name: string, _width: number, rows: Promise<ArrayBuffer>): void {
    const areFinite = (bytes: ArrayBuffer): boolean => new Float32Array(bytes).every(Number.isFinite);
    this.#found.push(rows.then((bytes) => (areFinite(bytes) ? undefined : name)));
  }

  async first(): Promise<string | undefined> {
    return (await Promise.all(this.#found)).find((name) => name !== undefined);
  }
}

/**
 * Computes a sequence whose logits or embeddings are not numbers once more with all intermediates, and returns the error that names the first that is
 * not finite. `cause` is the error of the call.
 */
export async function notFinite(cause: KernelError, model: ModelInternals, sequence: Sequence): Promise<KernelError> {
  const { device } = model;
  const owner = new Arena(device, "check");
  const cache = model.network.cache(model.cacheType);
  const taps = new FiniteCheck(device);
  const pass = new PromptPass(model, sequence, owner, { taps });
  try {
    cache.reserve(sequence.inputIds.length);
    await pass.encodeMedia(0);
    await pass.prefill(0, cache);
    const name = await taps.first();
    const { where: found } = cause.fault;
    const where =
      name !== undefined ? `intermediate \`${name}\`` : found === "logits" ? "logits of a decode step" : found;
    return new KernelError({
      ...cause.fault,
      where,
      got: name === "logits" ? cause.fault.got : "NaN or infinity",
      cause,
    });
  } finally {
    pass.end();
    owner.dispose();
    cache.dispose();
  }
}
