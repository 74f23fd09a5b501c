import { chooseTokens } from "../../kernels/choose-token.js";
import { FEW_ROWS } from "../../kernels/few-rows-broadcast.js";
import type { KVCache } from "../../layers/kv-cache.js";
import { rowsOf, type SequenceRows } from "../../layers/sequence-rows.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { Network } from "../llava-onevision/network.js";
import { AdaptiveSteps } from "./adaptive-steps.js";
import { Gathering } from "./gathering.js";
import { PromptShare } from "./prompt-share.js";
import type { Sampler } from "./sampler.js";
import { SamplerRows, type SharedRow } from "./sampler-rows.js";
import { VisionBatching } from "./vision-batching.js";

/** Rows of a prompt per chunk while others generate, if not given. */
const PREFILL_ROWS = 256;

/** What a sequence does in a step. */
interface MemberStep {
  /** Has its last token, with which the step begins. */
  readonly sampler: Sampler;
  /** The token that is chosen from its logits: the answer's token `index`, written to `answer[at]` of the sampler; if not given, `choose` follows. */
  readonly choice?: { readonly index: number; readonly at: number } | undefined;
  /** Uses its logits `[1, V]`, which are freed afterwards. */
  readonly use?: ((logits: Tensor) => void) | undefined;
}

/** A sequence that waits for the next step. */
interface Waiting extends MemberStep, Settled {
  readonly member: BatchMember;
}

/** The choice of the answer's token `index` from logits that have waited for their mask, written to `answer[0]`. */
interface LateChoice {
  readonly sampler: Sampler;
  readonly logits: SharedRow;
  readonly index: number;
}

interface Choosing extends LateChoice, Settled {
  readonly member: BatchMember;
}

interface Settled {
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Continuous batching: sequences of one model that generate share each step, which reads the weights once for up to 16 of them. They
 * join and leave between steps. Each keeps its cache, its sampler and its readbacks; its products and attention have the same sums as alone
 * (`Network.stepAll`), and its tokens are chosen by the same arithmetic (`chooseTokens`). Sequences with other adapters have steps of their own.
 */
export class Batching {
  /** State of the samplers whose choices may share dispatches. */
  readonly samplerRows: SamplerRows;
  /** What prompts share the vision tower's batches through. */
  readonly vision: VisionBatching;
  /** What prompts run their pieces through. */
  readonly share: PromptShare;
  readonly #groups = new Map<string, Group>();
  /** Prompts that are being computed. */
  #prompts = 0;

  constructor(
    readonly network: Network,
    /** Rows of a prompt per chunk while others generate. */
    readonly prefillRows = PREFILL_ROWS,
    /** Milliseconds for which prompts may delay a step, a chunk or a tile at least. */
    prefillMs?: number,
  ) {
    const { device, config } = network;
    this.samplerRows = new SamplerRows(device, config.text.vocabulary, device.arena("samplers"));
    this.share = new PromptShare(() => this.#release(), prefillMs);
    this.vision = new VisionBatching(network, () => this.busy);
  }

  /** Adds a sequence. `single`: whether it takes one step per readback, since the host has to see each token or its logits. */
  join(cache: KVCache, single: boolean): BatchMember {
    const key = JSON.stringify(cache.adapters ?? null);
    let group = this.#groups.get(key);
    if (!group) {
      group = new Group(
        this.network,
        () => this.#prompts > 0,
        () => this.share.holds,
      );
      this.#groups.set(key, group);
    }
    return group.join(cache, single);
  }

  /** Whether sequences generate, which the work of a prompt should not delay for long. */
  get busy(): boolean {
    for (const group of this.#groups.values()) if (group.size > 0) return true;
    return false;
  }

  /** Counts a prompt until the function that it returns is called: meanwhile steps are read back one by one. */
  prompt(): () => void {
    this.#prompts++;
    let counted = true;
    return () => {
      if (counted) this.#prompts--;
      counted = false;
      this.#release();
    };
  }

  /** Records the steps that are ready. */
  #release(): void {
    for (const group of this.#groups.values()) group.check();
  }
}

/** A sequence that generates. */
export class BatchMember {
  /** Whether a step was recorded whose token it chooses later. */
  owesChoice = false;

  constructor(
    private readonly group: Group,
    readonly cache: KVCache,
    /** Whether it takes one step per readback. */
    readonly single: boolean,
  ) {}

  /** Whether no other sequence can share its steps, and no prompt waits for them. */
  get alone(): boolean {
    return this.group.size === 1 && !this.group.hasPrompts();
  }

  /** Steps per readback that the sequences of its steps have in common. */
  get steps(): number {
    return this.group.steps;
  }

  /** Records the duration of `steps` steps. */
  learn(steps: number, milliseconds: number): void {
    this.group.learn(this, steps, milliseconds);
  }

  /** Takes part in the next step; appends to the cache. Resolves once the step is recorded. Rejects with the device's error. */
  step(step: MemberStep): Promise<void> {
    return new Promise((done, failed) => this.group.request({ ...step, member: this, done, failed }));
  }

  /** Chooses the token of a step that had no choice, together with other sequences that do. Resolves once it is recorded. */
  choose(choice: LateChoice): Promise<void> {
    return new Promise((done, failed) => this.group.choose({ ...choice, member: this, done, failed }));
  }

  /** Call when it generates no more. */
  leave(): void {
    this.group.leave(this);
  }
}

/** Sequences that can share steps. */
class Group {
  readonly #members = new Set<BatchMember>();
  readonly #steps: Gathering<Waiting>;
  readonly #choices: Gathering<Choosing>;
  readonly #adaptiveSteps = new AdaptiveSteps();
  /** The step that is being recorded, where a pass has to wait. */
  #passing: { readonly taken: readonly Waiting[]; readonly left: AbortController } | undefined;

  constructor(
    private readonly network: Network,
    readonly hasPrompts: () => boolean,
    isHeld: () => boolean,
  ) {
    this.#steps = new Gathering(network.device, (taken) => this.#step(taken), {
      expected: () => this.#members.size,
      most: FEW_ROWS,
      isBusy: () => this.#passing !== undefined || isHeld(),
    });
    this.#choices = new Gathering(network.device, (taken) => this.#choose(taken), {
      expected: () => [...this.#members].filter(({ owesChoice }) => owesChoice).length,
    });
  }

  get size(): number {
    return this.#members.size;
  }

  join(cache: KVCache, single: boolean): BatchMember {
    const member = new BatchMember(this, cache, single);
    this.#members.add(member);
    if (this.#members.size === 2) this.#adaptiveSteps.start();
    return member;
  }

  leave(member: BatchMember): void {
    this.#members.delete(member);
    for (const requests of [this.#steps, this.#choices]) requests.drop((request) => request.member === member);
    if (this.#passing?.taken.every((taken) => !this.#members.has(taken.member))) this.#passing.left.abort();
    this.#choices.check();
    this.#steps.check();
  }

  check(): void {
    this.#steps.check();
  }

  request(waiting: Waiting): void {
    this.#steps.add(waiting);
  }

  choose(choosing: Choosing): void {
    this.#choices.add(choosing);
  }

  /** Steps are learnt from one of the members, since all have the same. */
  learn(member: BatchMember, steps: number, milliseconds: number): void {
    const [first] = this.#members;
    if (first === member) this.#adaptiveSteps.learn(steps, milliseconds);
  }

  get steps(): number {
    if (this.hasPrompts()) return 1;
    for (const { single } of this.#members) if (single) return 1;
    return this.#adaptiveSteps.steps;
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
      const present = taken.filter(({ member }) => this.#members.has(member));
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

function settle<T extends Settled>(taken: readonly T[], failures: ReadonlyMap<T, unknown>): void {
  for (const waiting of taken) {
    if (failures.has(waiting)) waiting.failed(failures.get(waiting));
    else waiting.done();
  }
}
