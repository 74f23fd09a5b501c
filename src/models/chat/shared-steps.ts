import { chooseTokens } from "../../kernels/choose-tokens.js";
import { FEW_ROWS } from "../../kernels/few-rows-broadcast.js";
import type { KVCache } from "../../layers/kv-cache.js";
import { rowsOf, type SequenceRows } from "../../layers/sequence-rows.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { Network } from "../llava-onevision/network.js";
import { Gathering } from "./gathering.js";
import type { Sampler } from "./sampler.js";
import type { SharedRow } from "./sampler-rows.js";

/** A sequence that takes part in steps. */
export interface StepMember {
  readonly cache: KVCache;
  /** Whether a step was recorded whose token it chooses later. */
  owesChoice: boolean;
}

/** What a sequence does in a step. */
export interface MemberStep {
  /** Has its last token, with which the step begins. */
  readonly sampler: Sampler;
  /** The token that is chosen from its logits: the answer's token `index`, written to `answer[at]` of the sampler; if not given, `choose` follows. */
  readonly choice?: { readonly index: number; readonly at: number } | undefined;
  /** Uses its logits `[1, V]`, which are freed afterwards. */
  readonly use?: ((logits: Tensor) => void) | undefined;
}

/** The choice of the answer's token `index` from logits that have waited for their mask, written to `answer[0]`. */
export interface LateChoice {
  readonly sampler: Sampler;
  readonly logits: SharedRow;
  readonly index: number;
}

interface Request {
  readonly member: StepMember;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** A sequence that waits for the next step. */
interface Waiting extends MemberStep, Request {}

/** A sequence that knows its mask. */
interface Choosing extends LateChoice, Request {}

/** Steps of several sequences, and the choices of their tokens. */
export class SharedSteps {
  readonly #steps: Gathering<Waiting>;
  readonly #choices: Gathering<Choosing>;
  /** The step that is being recorded, where a pass has to wait. */
  #passing: { readonly taken: readonly Waiting[]; readonly left: AbortController } | undefined;

  constructor(
    private readonly network: Network,
    /** Sequences that generate. Call `left` when there is one less. */
    private readonly members: ReadonlySet<StepMember>,
    /** Whether steps wait for the work of a prompt. Call `check` when they do no more. */
    isHeld: () => boolean,
  ) {
    this.#steps = new Gathering(network.device, (taken) => this.#step(taken), {
      expected: () => members.size,
      most: FEW_ROWS,
      isBusy: () => this.#passing !== undefined || isHeld(),
    });
    this.#choices = new Gathering(network.device, (taken) => this.#choose(taken), {
      expected: () => [...members].filter(({ owesChoice }) => owesChoice).length,
    });
  }

  /** Takes part in the next step; resolves once that is recorded. Never resolves for a sequence that has left. */
  step(member: StepMember, step: MemberStep): Promise<void> {
    return new Promise((done, failed) => {
      if (this.members.has(member)) this.#steps.add({ ...step, member, done, failed });
    });
  }

  /** Chooses a token; resolves once that is recorded. Never resolves for a sequence that has left. */
  choose(member: StepMember, choice: LateChoice): Promise<void> {
    return new Promise((done, failed) => {
      if (this.members.has(member)) this.#choices.add({ ...choice, member, done, failed });
    });
  }

  /** Drops what a sequence waits for. */
  left(member: StepMember): void {
    for (const requests of [this.#steps, this.#choices]) requests.drop((request) => request.member === member);
    if (this.#passing?.taken.every((taken) => !this.members.has(taken.member))) this.#passing.left.abort();
    this.#choices.check();
    this.#steps.check();
  }

  /** Begins a step if all are ready. */
  check(): void {
    this.#steps.check();
  }

  /** Records a step of the sequences that have waited longest. */
  #step(taken: readonly Waiting[]): void {
    const { network } = this;
    if (network.waits) {
      void this.#pass(taken);
      return;
    }
    const failures = new Map<Waiting, unknown>();
    try {
      network.device.together(() =>
        network.device.scope(() => this.#use(taken, network.stepAll(this.#ids(taken), rowsEach(taken)), failures)),
      );
    } catch (error) {
      for (const waiting of taken) failures.set(waiting, error);
    }
    settle(taken, failures);
  }

  /** The same where a pass has to wait; ends early if all of the sequences leave. */
  async #pass(taken: readonly Waiting[]): Promise<void> {
    const { network } = this;
    const { device } = network;
    const left = new AbortController();
    this.#passing = { taken, left };
    const failures = new Map<Waiting, unknown>();
    const owner = device.arena("step");
    try {
      const ids = owner.run(() => this.#ids(taken));
      const pass = { owner, where: "generating", signal: left.signal };
      const logits = await network.passRows(() => ids, rowsEach(taken), pass);
      const present = taken.filter(({ member }) => this.members.has(member));
      owner.run(() => device.scope(() => this.#use(taken, logits, failures, present)));
    } catch (error) {
      for (const waiting of taken) failures.set(waiting, error);
    }
    owner.dispose();
    this.#passing = undefined;
    settle(taken, failures);
    this.#steps.check();
  }

  /** Records the choices of sequences whose masks are known. */
  #choose(taken: readonly Choosing[]): void {
    const { device } = this.network;
    const failures = new Map<Choosing, unknown>();
    for (const { member } of taken) member.owesChoice = false;
    const choices = taken.map(({ sampler, logits, index }) => sampler.choiceFrom(logits.place, index, 0));
    try {
      device.together(() => device.scope(() => chooseTokens(device, choices)));
    } catch (error) {
      for (const choosing of taken) failures.set(choosing, error);
    }
    settle(taken, failures);
  }

  /** The tokens that a step begins with: `[n]` u32. */
  #ids(taken: readonly Waiting[]): Tensor {
    const { device } = this.network;
    const ids = device.empty([taken.length], "u32", "ids");
    for (const [row, { sampler }] of taken.entries()) device.copy(sampler.token, 0, ids, 4 * row, 4);
    return ids;
  }

  /** Chooses the tokens of the sequences that are still present, and passes them their rows of the logits `[n, V]`. */
  #use(taken: readonly Waiting[], logits: Tensor, failures: Map<Waiting, unknown>, present = taken): void {
    const rows = [...taken.entries()].filter(([, waiting]) => present.includes(waiting));
    const width = logits.size(-1);
    const chosen = rows.filter(([, { choice }]) => choice);
    const [first] = chosen;
    // The kernels for one row are those of its steps alone.
    if (first && taken.length === 1) first[1].sampler.choose(logits, first[1].choice!.index, first[1].choice!.at);
    else {
      const placed = chosen.map(([row, { sampler, choice }]) =>
        sampler.choiceFrom({ tensor: logits, first: row * width }, choice!.index, choice!.at),
      );
      chooseTokens(logits.device, placed);
    }
    for (const [row, waiting] of rows) {
      waiting.member.owesChoice = !waiting.choice;
      try {
        waiting.use?.(rowsOf(logits, row, 1));
      } catch (error) {
        failures.set(waiting, error);
      }
    }
  }
}

function rowsEach(taken: readonly Waiting[]): SequenceRows[] {
  return taken.map(({ member: { cache } }) => ({ cache, rows: 1 }));
}

function settle<T extends Request>(taken: readonly T[], failures: ReadonlyMap<T, unknown>): void {
  for (const waiting of taken) {
    if (failures.has(waiting)) waiting.failed(failures.get(waiting));
    else waiting.done();
  }
}
