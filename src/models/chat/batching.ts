import { FEW_ROWS } from "../../kernels/few-rows-broadcast.js";
import type { KVCache } from "../../layers/kv-cache.js";
import { rowsOf, type SequenceRows } from "../../layers/sequence-rows.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { Network } from "../llava-onevision/network.js";
import { AdaptiveSteps } from "./adaptive-steps.js";

/** How long the device idles before a step begins without the sequences that are not ready. */
const PATIENCE_MS = 10;
/** Rows of a prompt per chunk while others generate, if not given. */
const PREFILL_ROWS = 256;

/** A sequence that waits for the next step. */
interface Waiting {
  readonly member: BatchMember;
  /** `[1]` u32: its last token, on the device. */
  readonly token: Tensor;
  /** Uses the logits `[1, V]`, which are freed afterwards. */
  readonly use: (logits: Tensor) => void;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Continuous batching: sequences of one model that generate share each step, which reads the weights once for up to 16 of them. They
 * join and leave between steps. Each keeps its cache, its sampler and its readbacks, and its products and attention have the same sums
 * as alone (`Network.stepAll`). Sequences with other adapters have steps of their own.
 */
export class Batching {
  readonly #groups = new Map<string, Group>();
  /** Prompts that are being computed. */
  #prompts = 0;

  constructor(
    readonly network: Network,
    /** Rows of a prompt per chunk while others generate. */
    readonly prefillRows = PREFILL_ROWS,
  ) {}

  /** Adds a sequence. `single`: whether it takes one step per readback, since the host has to see each token or its logits. */
  join(cache: KVCache, single: boolean): BatchMember {
    const key = JSON.stringify(cache.adapters ?? null);
    let group = this.#groups.get(key);
    if (!group) {
      group = new Group(this.network, () => this.#prompts > 0);
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
    };
  }
}

/** A sequence that generates. */
export class BatchMember {
  constructor(
    private readonly group: Group,
    readonly cache: KVCache,
    /** Whether it takes one step per readback. */
    readonly single: boolean,
  ) {}

  /** Whether no other sequence can share its steps. */
  get alone(): boolean {
    return this.group.size === 1;
  }

  /** Steps per readback that the sequences of its steps have in common. */
  get steps(): number {
    return this.group.steps;
  }

  /** Records the duration of `steps` steps. */
  learn(steps: number, milliseconds: number): void {
    this.group.learn(this, steps, milliseconds);
  }

  /**
   * Takes part in the next step, with a token `[1]` u32 that is on the device; appends to the cache. Resolves once the step is recorded
   * and `use` was called with its logits `[1, V]`, which are freed afterwards. Rejects with the device's error.
   */
  step(token: Tensor, use: (logits: Tensor) => void): Promise<void> {
    return new Promise((done, failed) => this.group.request({ member: this, token, use, done, failed }));
  }

  /** Call when it generates no more. */
  leave(): void {
    this.group.leave(this);
  }
}

/** Sequences that can share steps. */
class Group {
  readonly #members = new Set<BatchMember>();
  #waiting: Waiting[] = [];
  readonly #adaptiveSteps = new AdaptiveSteps();
  /** The step that is being recorded, where a pass has to wait. */
  #passing: { readonly taken: readonly Waiting[]; readonly left: AbortController } | undefined;
  /** Steps so far. */
  #count = 0;
  #watching = false;

  constructor(
    private readonly network: Network,
    private readonly hasPrompts: () => boolean,
  ) {}

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
    this.#waiting = this.#waiting.filter((waiting) => waiting.member !== member);
    if (this.#passing?.taken.every((taken) => !this.#members.has(taken.member))) this.#passing.left.abort();
    this.#next();
  }

  request(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#next();
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

  /** Begins a step if every sequence waits for it, or as many as fit; else waits for the others while the device is busy anyway. */
  #next(): void {
    if (this.#waiting.length === 0 || this.#passing) return;
    if (this.#waiting.length >= Math.min(this.#members.size, FEW_ROWS)) this.#step();
    else void this.#watch();
  }

  /** Begins a step without the sequences that are not ready some time after the device has nothing left to do. */
  async #watch(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    try {
      for (let count = -1; this.#waiting.length > 0; ) {
        if (count === this.#count && !this.#passing) this.#step();
        count = this.#count;
        // The loss of the device is reported by the step.
        await this.network.device.sync().catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
      }
    } finally {
      this.#watching = false;
    }
  }

  /** Records a step of the sequences that have waited longest. */
  #step(): void {
    const { network } = this;
    this.#count++;
    const taken = this.#waiting.splice(0, FEW_ROWS);
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
    this.#next();
  }

  /** The tokens that a step begins with: `[n]` u32. */
  #ids(taken: readonly Waiting[]): Tensor {
    const { device } = this.network;
    const ids = device.empty([taken.length], "u32", "ids");
    for (const [row, { token }] of taken.entries()) device.copy(token, 0, ids, 4 * row, 4);
    return ids;
  }

  /** Passes each sequence that is still present its row of the logits `[n, V]`. */
  #use(taken: readonly Waiting[], logits: Tensor, failures: Map<Waiting, unknown>, present = taken): void {
    for (const [row, waiting] of taken.entries()) {
      if (!present.includes(waiting)) continue;
      try {
        waiting.use(rowsOf(logits, row, 1));
      } catch (error) {
        failures.set(waiting, error);
      }
    }
  }
}

function rowsEach(taken: readonly Waiting[]): SequenceRows[] {
  return taken.map(({ member: { cache } }) => ({ cache, rows: 1 }));
}

function settle(taken: readonly Waiting[], failures: ReadonlyMap<Waiting, unknown>): void {
  for (const waiting of taken) {
    if (failures.has(waiting)) waiting.failed(failures.get(waiting));
    else waiting.done();
  }
}
