import { unlessAborted } from "../../base/abort.js";
import { throwIfAborted } from "../../base/errors.js";
import type { KVCache } from "../../layers/kv-cache.js";
import type { Arena } from "../../runtime/arena.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { Constraint } from "../../structure/constraint.js";
import { inTimeSlices } from "../../structure/time-slices.js";
import type { Network } from "../llava-onevision/network.js";
import { type AdaptiveSteps, MOST_STEPS } from "./adaptive-steps.js";
import { Batching, type BatchMember } from "./batching.js";
import { chooseAlong, type DraftParts, MOST_DRAFT } from "./draft-pass.js";
import { type Drafts, draftUnder } from "./drafts.js";
import { type Choice, type ReadOptions, Reads } from "./reads.js";
import type { Sampler, SamplerOptions } from "./sampler.js";
import type { SamplerRows, SharedRow } from "./sampler-rows.js";

/** Batches in flight: one executes while the other is read back. */
const MAX_IN_FLIGHT = 2;

export interface DecodingOptions extends SamplerOptions, ReadOptions {
  /** Tokens of the answer that the prompt's logits follow: not empty where an answer is continued. */
  readonly given?: readonly number[];
  /** Maximum tokens of the answer. */
  readonly maxNewTokens: number;
  readonly adaptiveSteps: AdaptiveSteps;
  /** Shares steps with the other sequences of the model that generate; alone if not given. */
  readonly batching?: Batching | undefined;
  /** Where drafts come from while the sequence is alone; without it every token is a step of its own. */
  readonly drafts?: Drafts | undefined;
  /** Throws if the session or the model was disposed or the device has failed; called before anything is recorded. */
  readonly check: () => void;
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

/** What steps are shared through, and where a pass has to wait recorded by. */
function batchingOf(network: Network, { batching }: DecodingOptions): Batching | undefined {
  return batching ?? (network.waits ? new Batching(network) : undefined);
}

/** The sampler and its kernels are imported on demand: a page loads them with the first answer. */
async function samplerOf(
  { device }: Network,
  options: SamplerOptions,
  owner: Arena,
  masked: boolean,
  batching: Batching | undefined,
): Promise<Sampler> {
  const { Sampler } = await import("./sampler.js");
  return owner.run(() => new Sampler(device, options, masked, batching?.samplerRows));
}

/**
 * Generates the tokens of an answer from the prompt's logits `[1, V]`. The sampled token stays on the GPU and feeds the next step;
 * steps are recorded ahead, and their tokens are read back in batches. While other sequences generate, steps are shared with them. If
 * generation stops early, the KV cache contains steps past the last returned token: truncate it.
 */
export async function* decode(
  network: Network,
  cache: KVCache,
  logits: Tensor,
  owner: Arena,
  options: DecodingOptions,
): AsyncGenerator<Choice, void, undefined> {
  const { device } = network;
  const { maxNewTokens, adaptiveSteps, check, readLogits, signal, drafts } = options;
  const batching = batchingOf(network, options);
  const sampler = await samplerOf(network, options, owner, false, batching);
  // A pass that waits for layers or devices is long: the token before it is returned first.
  const mostInFlight = network.waits ? 1 : MAX_IN_FLIGHT;
  const idle: Reads[] = [];
  const inFlight: InFlightBatch[] = [];
  let chosen = options.given?.length ?? 0;
  let last = 0;

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
      const use = readLogits ? (own: Tensor): void => reads.copyLogits(own) : undefined;
      const step = member.step({ sampler, choice: { index: chosen++, at }, use });
      await unlessAborted(step, signal, "generating");
    }
    reads.begin(sampler, steps);
  };

  const read = function* (choices: readonly Choice[]): Generator<Choice, void, undefined> {
    for (const choice of choices) {
      last = choice.token;
      drafts?.lookup.add(last);
      yield choice;
    }
  };

  let member: BatchMember | undefined;
  try {
    check();
    while (idle.length < mostInFlight) idle.push(new Reads(network, options, MOST_STEPS));
    adaptiveSteps.start();
    begin(1, () => logits);
    logits.dispose();
    member = batching?.join(cache, readLogits ?? false);
    let arrivedAt: number | undefined;
    for (;;) {
      // Where a draft may follow, the steps that are recorded end first: each of them is a token of the answer.
      const mayDraft = (): boolean => drafts?.lookup.repeats === true && !isAmong(member);
      while (inFlight.length < mostInFlight && chosen < maxNewTokens && !mayDraft()) {
        check();
        const most = isAmong(member) ? member.steps : adaptiveSteps.steps;
        const steps = readLogits ? 1 : Math.min(most, maxNewTokens - chosen);
        cache.reserve(cache.length + steps);
        if (member && (network.waits || isAmong(member))) await beginAmong(member, steps);
        else begin(steps, () => network.step(sampler.token, cache));
      }
      const batch = inFlight[0];
      if (batch) {
        const { steps, begunAt, reads } = batch;
        const choices = await reads.choices(sampler);
        inFlight.shift();
        idle.push(reads);
        const now = reads.arrivedAt ?? performance.now();
        const learner = isAmong(member) ? member : adaptiveSteps;
        if (arrivedAt !== undefined) learner.learn(steps, now - Math.max(arrivedAt, begunAt));
        arrivedAt = now;
        yield* read(choices);
      } else if (drafts && chosen < maxNewTokens) {
        check();
        const { lookup, counts } = drafts;
        const draft = lookup.draft(Math.min(MOST_DRAFT, maxNewTokens - chosen - 1));
        const parts = { network, cache, owner, sampler, reads: idle[0]!, counts, signal };
        const choices = await chooseAlong(parts, last, draft, chosen);
        chosen += choices.length;
        lookup.learn(choices.length - 1);
        arrivedAt = undefined;
        yield* read(choices);
      } else return;
    }
  } finally {
    member?.leave();
    sampler.dispose();
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
  const { maxNewTokens, check, allowed, signal, drafts } = options;
  const batching = batchingOf(network, options);
  const rows = batching?.samplerRows;
  const sampler = await samplerOf(network, options, owner, true, batching);
  /** Its logits of a step that it shares. */
  let waiting: SharedRow | undefined;
  let reads: Reads;
  try {
    reads = new Reads(network, options, MOST_DRAFT + 1);
  } catch (cause) {
    sampler.dispose();
    throw cause;
  }
  const mask = new Uint32Array(Math.ceil(allowed / 32));
  const member = batching?.join(cache, true);
  let index = options.given?.length ?? 0;

  /** The choice after a step that is shared: its logits wait for the mask, and are used with those of others that do. */
  const chooseAmong = async (member: BatchMember, rows: SamplerRows): Promise<Choice[]> => {
    cache.reserve(cache.length + 1);
    waiting ??= rows.logits.take();
    const own = waiting;
    const use = (logits: Tensor): void => {
      const { tensor, first } = own.place;
      device.copy(logits, 0, tensor, first * 4, logits.sizeBytes);
      reads.copyLogits(logits);
    };
    await unlessAborted(member.step({ sampler, use }), signal, "generating");
    device.flush();
    await allow(constraint, index);
    await unlessAborted(member.choose({ sampler, logits: own, index }), signal, "generating");
    reads.begin(sampler, 1);
    return reads.choices(sampler);
  };
  /** Allows what may come after `state` as the answer's token `at`. */
  const allow = async (state: Constraint, at: number): Promise<void> => {
    await inTimeSlices(state.allowing(mask, maxNewTokens - at), () => throwIfAborted(signal, "generating"));
    check();
    sampler.allow(mask);
  };
  const choose = async (logits: Tensor): Promise<Choice[]> => {
    device.flush();
    await allow(constraint, index);
    owner.run(() => sampler.choose(logits, index, 0));
    reads.copyLogits(logits);
    logits.dispose();
    reads.begin(sampler, 1);
    return reads.choices(sampler);
  };

  try {
    for (let choices = await choose(logits); ; ) {
      let last = 0;
      for (const choice of choices) {
        index++;
        last = choice.token;
        yield choice;
        if (index === maxNewTokens) return;
        constraint.accept(last);
        drafts?.lookup.add(last);
      }
      check();
      const most = isAmong(member) ? 0 : Math.min(MOST_DRAFT, maxNewTokens - index - 1);
      const draft = drafts && most > 0 ? draftUnder(constraint, drafts, most) : [];
      if (draft.length === 0) {
        if (member && rows && (network.waits || isAmong(member))) {
          choices = await chooseAmong(member, rows);
        } else {
          cache.reserve(cache.length + 1);
          choices = await choose(owner.run(() => network.step(sampler.token, cache)));
        }
        continue;
      }
      const state = constraint.fork();
      const parts: DraftParts = { network, cache, owner, sampler, reads, counts: drafts!.counts, signal };
      choices = await chooseAlong(parts, last, draft, index, (row) => {
        if (row > 0) state.accept(draft[row - 1]!);
        return allow(state, index + row);
      });
    }
  } finally {
    member?.leave();
    waiting?.release();
    sampler.dispose();
    reads.dispose();
  }
}
