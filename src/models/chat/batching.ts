import type { KVCache } from "../../layers/kv-cache.js";
import type { Network } from "../llava-onevision/network.js";
import { AdaptiveSteps } from "./adaptive-steps.js";
import { PromptShare } from "./prompt-share.js";
import { SamplerRows } from "./sampler-rows.js";
import type { LateChoice, MemberStep, SharedSteps, StepMember } from "./shared-steps.js";
import type { VisionBatching } from "./vision-batching.js";

/** Rows of a prompt per chunk while others generate, if not given. */
const PREFILL_ROWS = 256;

/**
 * Continuous batching: sequences of one model that generate share each step, which reads the weights once for up to 16 of them. They
 * join and leave between steps. Each keeps its cache, its sampler and its readbacks; its products and attention have the same sums as alone
 * (`Network.stepAll`), and its tokens are chosen by the same arithmetic (`chooseTokens`). Sequences with other adapters have steps of their own.
 */
export class Batching {
  /** State of the samplers whose choices may share dispatches. */
  readonly samplerRows: SamplerRows;
  /** What prompts run their pieces through. */
  readonly share: PromptShare;
  readonly #groups = new Map<string, Group>();
  #vision: Promise<VisionBatching> | undefined;
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
  }

  /** What prompts share the vision tower's batches through; imported on demand. */
  vision(): Promise<VisionBatching> {
    this.#vision ??= import("./vision-batching.js").then(
      ({ VisionBatching }) => new VisionBatching(this.network, () => this.busy),
    );
    return this.#vision;
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
export class BatchMember implements StepMember {
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
  async step(step: MemberStep): Promise<void> {
    await (await this.group.shared()).step(this, step);
  }

  /** Chooses the token of a step that had no choice, together with other sequences that do. Resolves once it is recorded. */
  async choose(choice: LateChoice): Promise<void> {
    await (await this.group.shared()).choose(this, choice);
  }

  /** Call when it generates no more. */
  leave(): void {
    this.group.leave(this);
  }
}

/** Sequences that can share steps. */
class Group {
  readonly #members = new Set<BatchMember>();
  readonly #adaptiveSteps = new AdaptiveSteps();
  #loading: Promise<SharedSteps> | undefined;
  #shared: SharedSteps | undefined;

  constructor(
    private readonly network: Network,
    readonly hasPrompts: () => boolean,
    private readonly isHeld: () => boolean,
  ) {}

  /** Records the steps. Imported on demand: pages with one conversation do not load it. */
  shared(): Promise<SharedSteps> {
    this.#loading ??= import("./shared-steps.js").then(({ SharedSteps }) => {
      this.#shared = new SharedSteps(this.network, this.#members, this.isHeld);
      return this.#shared;
    });
    return this.#loading;
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
    this.#shared?.left(member);
  }

  check(): void {
    this.#shared?.check();
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
}
