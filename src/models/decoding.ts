import type { KVCache } from "../layers/kv-cache.js";
import { unlessAborted } from "../runtime/abort.js";
import type { Arena } from "../runtime/arena.js";
import { throwIfAborted } from "../runtime/errors.js";
import { Readback } from "../runtime/readback.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Constraint } from "../structure/constraint.js";
import { inTimeSlices } from "../structure/time-slices.js";
import type { Network } from "./llava-onevision/network.js";
import { Sampler, type SamplerOptions } from "./sampler.js";

/** What the steps of one read should take: short enough that text flows and an abort is prompt. */
const TARGET_MS = 40;
const MOST_STEPS = 16;
/** Where steps are slow two go together as long as they take no more than this: a read in the middle costs too. */
const TWO_STEPS_MS = 250;
/** One runs while the other is read. */
const MAX_IN_FLIGHT = 2;

/** How many steps go between two reads, learnt from those before. */
export class AdaptiveSteps {
  steps = 1;

  /** At the beginning of an answer few steps go together: it may be a word. */
  start(): void {
    this.steps = Math.min(this.steps, 2);
  }

  /** `steps` took `milliseconds`. */
  learn(steps: number, milliseconds: number): void {
    const each = Math.max(milliseconds, 1e-3) / steps;
    const fitting = Math.max(Math.floor(TARGET_MS / each), Math.min(2, Math.floor(TWO_STEPS_MS / each)));
    // A first step also compiles; and one quick read is no proof of many.
    this.steps = Math.max(1, Math.min(fitting, 2 * this.steps, MOST_STEPS));
  }
}

/** A token of the answer, and the logits `[V]` it was chosen from where those were asked for. */
export interface Choice {
  readonly token: number;
  readonly logits: Float32Array | undefined;
}

export interface DecodingOptions extends SamplerOptions {
  /** Most tokens of the answer. */
  readonly maxNewTokens: number;
  readonly adaptiveSteps: AdaptiveSteps;
  /** Whether logits come with the tokens; they take a read each step. */
  readonly readLogits?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Throws if the session or the model was disposed; called before anything is recorded. */
  readonly check: () => void;
}

/** Copies of tokens to the host, and of the logits of one step. */
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

/** Steps that were recorded together, and are read together. */
interface InFlightBatch {
  readonly steps: number;
  readonly begunAt: number;
  readonly reads: Reads;
}

/**
 * The tokens of an answer, from the prompt's logits `[1, V]` on. A token feeds the next step on the device; steps are recorded
 * ahead, and their tokens come to the host a few at a time. Who stops early finds the cache longer than what was fed for the
 * tokens seen: truncate it.
 */
export async function* decode(
  network: Network,
  cache: KVCache,
  logits: Tensor,
  owner: Arena,
  options: DecodingOptions,
): AsyncGenerator<Choice, void, undefined> {
  const { device } = network;
  const { maxNewTokens, adaptiveSteps, check, readLogits } = options;
  const sampler = owner.run(() => new Sampler(device, options, MOST_STEPS));
  const idle = Array.from({ length: MAX_IN_FLIGHT }, () => new Reads(network, options));
  const inFlight: InFlightBatch[] = [];
  let chosen = 0;

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

  try {
    check();
    adaptiveSteps.start();
    begin(1, () => logits);
    logits.dispose();
    let arrivedAt: number | undefined;
    while (inFlight.length > 0) {
      while (inFlight.length < MAX_IN_FLIGHT && chosen < maxNewTokens) {
        check();
        const steps = readLogits ? 1 : Math.min(adaptiveSteps.steps, maxNewTokens - chosen);
        cache.reserve(cache.length + steps);
        begin(steps, () => network.step(sampler.token, cache));
      }
      const { steps, begunAt, reads } = inFlight[0]!;
      const choices = await reads.choices(sampler);
      inFlight.shift();
      idle.push(reads);
      const now = reads.arrivedAt ?? performance.now();
      if (arrivedAt !== undefined) adaptiveSteps.learn(steps, now - Math.max(arrivedAt, begunAt));
      arrivedAt = now;
      yield* choices;
    }
  } finally {
    for (const reads of [...idle, ...inFlight.map((batch) => batch.reads)]) reads.dispose();
  }
}

/** `decode` where each token decides which may come next. The host finds out while the device computes the next logits. */
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
  try {
    for (let index = 0, own = logits; index < maxNewTokens; index++) {
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
      own = owner.run(() => network.step(sampler.token, cache));
    }
  } finally {
    reads.dispose();
  }
}
