import type { KVCache } from "../layers/kv-cache.js";
import type { Arena } from "../runtime/arena.js";
import { Readback } from "../runtime/readback.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Network } from "./llava-onevision/network.js";
import { Sampler, type SamplerOptions } from "./sampler.js";

/** What the steps of one read should take: short enough that text flows and an abort is prompt. */
const TARGET_MS = 40;
const MOST_STEPS = 16;
/** Where steps are slow two go together as long as they take no more than this: a read in the middle costs too. */
const TWO_STEPS_MS = 250;
/** One runs while the other is read. */
const FLIGHTS = 2;

/** How many steps go between two reads, learnt from those before. */
export class Pace {
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

/** Steps that were recorded together, and are read together. */
interface Flight {
  readonly steps: number;
  readonly begunAt: number;
  readonly readback: Readback;
}

export interface DecodingOptions extends SamplerOptions {
  /** Most tokens of the answer. */
  readonly maxNewTokens: number;
  readonly pace: Pace;
  /** Throws if the session or the model was disposed; called before anything is recorded. */
  readonly check: () => void;
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
): AsyncGenerator<number, void, undefined> {
  const { device } = network;
  const { maxNewTokens, pace, check } = options;
  const sampler = owner.run(() => new Sampler(device, options, MOST_STEPS));
  const readbacks = Array.from({ length: FLIGHTS }, () => new Readback(device, MOST_STEPS * 4, "tokens"));
  const flights: Flight[] = [];
  let chosen = 0;

  const begin = (steps: number, work: (at: number) => void): void => {
    const begunAt = performance.now();
    device.together(() =>
      owner.run(() => {
        for (let at = 0; at < steps; at++) work(at);
      }),
    );
    const readback = readbacks.shift()!;
    flights.push({ steps, begunAt, readback });
    readback.begin(sampler.answer, steps * 4);
  };

  try {
    check();
    pace.start();
    begin(1, (at) => sampler.choose(logits, chosen++, at));
    logits.dispose();
    let arrivedAt: number | undefined;
    while (flights.length > 0) {
      while (flights.length < FLIGHTS && chosen < maxNewTokens) {
        check();
        const steps = Math.min(pace.steps, maxNewTokens - chosen);
        cache.reserve(cache.length + steps);
        begin(steps, (at) => device.scope(() => sampler.choose(network.step(sampler.token, cache), chosen++, at)));
      }
      const { steps, begunAt, readback } = flights[0]!;
      const tokens = new Uint32Array(await readback.bytes());
      flights.shift();
      readbacks.push(readback);
      const now = readback.arrivedAt ?? performance.now();
      if (arrivedAt !== undefined) pace.learn(steps, now - Math.max(arrivedAt, begunAt));
      arrivedAt = now;
      for (const token of tokens) {
        sampler.check(token);
        yield token;
      }
    }
  } finally {
    for (const readback of [...readbacks, ...flights.map((flight) => flight.readback)]) readback.dispose();
  }
}
