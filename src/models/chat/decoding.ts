import { unlessAborted } from "../../base/abort.js";
import { throwIfAborted } from "../../base/errors.js";
import type { KVCache } from "../../layers/kv-cache.js";
import type { Arena } from "../../runtime/arena.js";
import { Readback } from "../../runtime/readback.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { Constraint } from "../../structure/constraint.js";
import { inTimeSlices } from "../../structure/time-slices.js";
import type { Network } from "../llava-onevision/network.js";
import { type AdaptiveSteps, MOST_STEPS } from "./adaptive-steps.js";
import type { Batching, BatchMember } from "./batching.js";
import { Sampler, type SamplerOptions } from "./sampler.js";

/** Batches in flight: one executes while the other is read back. */
const MAX_IN_FLIGHT = 2;

/** A token of the answer, and its logits `[V]` if `readLogits` is set. */
export interface Choice {
  readonly token: number;
  readonly logits: Float32Array | undefined;
}

export interface DecodingOptions extends SamplerOptions {
  /** Tokens of the answer that the prompt's logits follow: not empty where an answer is continued. */
  readonly given?: readonly number[];
  /** Maximum tokens of the answer. */
  readonly maxNewTokens: number;
  readonly adaptiveSteps: AdaptiveSteps;
  /** Shares steps with the other sequences of the model that generate; alone if not given. */
  readonly batching?: Batching | undefined;
  /** Whether to return the logits of each token, at the cost of one readback per step. */
  readonly readLogits?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Throws if the session or the model was disposed or the device has failed; called before anything is recorded. */
  readonly check: () => void;
}

/** Readbacks of a batch: its tokens, and the logits of one step. */
class Reads {
  readonly #tokens: Readback;
  readonly #logits: Readback | undefined;

  constructor(
    network: Network,
    readonly options: DecodingOptions,
  ) {
    this.#tokens = new Readback(network.device, MOST_STEPS * 4, "tokens");
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
    const tokens = new Uint32Array(await unlessAborted(this.#tokens.bytes(), signal, "generating"));
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

/** Decode steps that are recorded and read back together. */
interface InFlightBatch {
  readonly steps: number;
  readonly begunAt: number;
  readonly reads: Reads;
}

/** Whether other sequences share the steps. */
function isAmong(member: BatchMember | undefined): member is BatchMember {
  return member !== undefined && !member.alone;
}

/**
 * Generates the tokens of an answer from the prompt's logits `[1, V]`. The sampled token stays on the GPU and feeds the next step;
 * steps are recorded ahead, and their tokens are read back in batches. While other sequences generate, steps are shared with them. If generation stops early, the KV cache contains steps past the
 * last returned token: truncate it.
 */
export async function* decode(
  network: Network,
  cache: KVCache,
  logits: Tensor,
  owner: Arena,
  options: DecodingOptions,
): AsyncGenerator<Choice, void, undefined> {
  const { device } = network;
  const { maxNewTokens, adaptiveSteps, check, readLogits, signal } = options;
  const sampler = owner.run(() => new Sampler(device, options, MOST_STEPS));
  const idle = Array.from({ length: MAX_IN_FLIGHT }, () => new Reads(network, options));
  const inFlight: InFlightBatch[] = [];
  let chosen = options.given?.length ?? 0;

  const begin = (steps: number, next: () => Tensor): void => {
    const begunAt = performance.now();
    const reads = idle.shift()!;
    inFlight.push({ steps, begunAt, reads });
    device.together(() =>
      owner.run(() => {
        for (let at = 0; at < steps; at++) {
          device.scope(() => {
            const own = next();
            sampler.choose(own, chosen++, at);
            reads.copyLogits(own);
          });
        }
      }),
    );
    reads.begin(sampler, steps);
  };

  /** The same in steps that other sequences share, each recorded when all are ready. */
  const beginAmong = async (member: BatchMember, steps: number): Promise<void> => {
    const begunAt = performance.now();
    const reads = idle.shift()!;
    inFlight.push({ steps, begunAt, reads });
    for (let at = 0; at < steps; at++) {
      const step = member.step(sampler.token, (own) => {
        owner.run(() => sampler.choose(own, chosen++, at));
        reads.copyLogits(own);
      });
      await unlessAborted(step, signal, "generating");
    }
    reads.begin(sampler, steps);
  };

  let member: BatchMember | undefined;
  try {
    check();
    adaptiveSteps.start();
    begin(1, () => logits);
    logits.dispose();
    member = options.batching?.join(cache, readLogits ?? false);
    let arrivedAt: number | undefined;
    while (inFlight.length > 0) {
      while (inFlight.length < MAX_IN_FLIGHT && chosen < maxNewTokens) {
        check();
        const most = isAmong(member) ? member.steps : adaptiveSteps.steps;
        const steps = readLogits ? 1 : Math.min(most, maxNewTokens - chosen);
        cache.reserve(cache.length + steps);
        if (isAmong(member)) await beginAmong(member, steps);
        else begin(steps, () => network.step(sampler.token, cache));
      }
      const { steps, begunAt, reads } = inFlight[0]!;
      const choices = await reads.choices(sampler);
      inFlight.shift();
      idle.push(reads);
      const now = reads.arrivedAt ?? performance.now();
      const learner = isAmong(member) ? member : adaptiveSteps;
      if (arrivedAt !== undefined) learner.learn(steps, now - Math.max(arrivedAt, begunAt));
      arrivedAt = now;
      yield* choices;
    }
  } finally {
    member?.leave();
    for (const reads of [...idle, ...inFlight.map((batch) => batch.reads)]) reads.dispose();
  }
}

/**
 * Like `decode`, with constrained decoding: the host computes the mask of allowed tokens while the device computes the logits.
 * `constraint` has accepted the tokens of `options.given`.
 */
export async function* decodeUnder(
  constraint: Constraint,
  network: Network,
  cache: KVCache,
  logits: Tensor,
  owner: Arena,
  options: DecodingOptions,
): AsyncGenerator<Choice, void, undefined> {
  const { device } = network;
  const { maxNewTokens, check, allowed, signal } = options;
  const sampler = owner.run(() => new Sampler(device, options, 1, true));
  const reads = new Reads(network, options);
  const mask = new Uint32Array(Math.ceil(allowed / 32));
  const member = options.batching?.join(cache, true);
  /** The logits of the next step, of the sequence's own: they wait for their mask. */
  const next = async (): Promise<Tensor> => {
    if (!isAmong(member)) return owner.run(() => network.step(sampler.token, cache));
    let own: Tensor | undefined;
    const step = member.step(sampler.token, (row) => {
      own = owner.run(() => device.empty(row.shape, "f32", "logits"));
      device.copy(row, 0, own, 0, row.sizeBytes);
    });
    await unlessAborted(step, signal, "generating");
    return own!;
  };
  try {
    for (let index = options.given?.length ?? 0, own = logits; index < maxNewTokens; index++) {
      device.flush();
      await inTimeSlices(constraint.allowing(mask, maxNewTokens - index), () => throwIfAborted(signal, "generating"));
      check();
      sampler.allow(mask);
      owner.run(() => sampler.choose(own, index, 0));
      reads.copyLogits(own);
      own.dispose();
      reads.begin(sampler, 1);
      const [choice] = await reads.choices(sampler);
      yield choice!;
      if (index + 1 === maxNewTokens) return;
      constraint.accept(choice!.token);
      check();
      cache.reserve(cache.length + 1);
      own = await next();
    }
  } finally {
    member?.leave();
    reads.dispose();
  }
}
