import type { RowPlace } from "../../kernels/choose-tokens.js";
import type { Arena } from "../../runtime/arena.js";
import type { Device } from "../../runtime/device.js";
import type { DType } from "../../runtime/dtype.js";
import type { Tensor } from "../../runtime/tensor.js";

/** Rows are a multiple of this many words, so that each of them can be bound: 256 bytes. */
const ROW_WORDS = 64;
/** Tokens that a sampler chooses before they are read back, at most. */
export const MOST_CHOICES = ROW_WORDS;

/** A row of a tensor that several samplers share. */
export class SharedRow {
  constructor(
    private readonly rows: SharedRows,
    private readonly index: number,
  ) {}

  /** Where it is now: the tensor changes when others take rows. */
  get place(): RowPlace {
    return { tensor: this.rows.tensor, first: this.index * this.rows.width };
  }

  /** Its first elements, as a part of the tensor. */
  part(length: number): Tensor {
    const { tensor, first } = this.place;
    return tensor.part(first, [length]);
  }

  /** Call once, when it is not needed any more. */
  release(): void {
    this.rows.release(this.index);
  }
}

/** Rows of one tensor `[rows, W]`. It grows by doubling, and is freed with its last row. */
export class SharedRows {
  readonly width: number;
  #tensor: Tensor | undefined;
  readonly #used: boolean[] = [];
  /** Has the rows that do not fit a binding. */
  #others: SharedRows | undefined;

  constructor(
    readonly device: Device,
    readonly dtype: Extract<DType, "u32" | "f32">,
    length: number,
    readonly label: string,
    /** Owns the tensor; the arena that is current when a row is taken if not given. */
    readonly arena: Arena | undefined,
  ) {
    this.width = Math.ceil(length / ROW_WORDS) * ROW_WORDS;
  }

  get tensor(): Tensor {
    return this.#tensor!;
  }

  /** Returns a free row with the given first elements. Throws LimitError if one row does not fit a binding. */
  take(data?: Uint32Array | Float32Array): SharedRow {
    let index = this.#used.indexOf(false);
    if (index < 0) {
      index = this.#used.length;
      const fitting = Math.floor(this.device.facts.maxBindingBytes / (4 * this.width));
      if (index > 0 && index >= fitting) {
        this.#others ??= new SharedRows(this.device, this.dtype, this.width, this.label, this.arena);
        return this.#others.take(data);
      }
      this.#resize(Math.max(1, Math.min(2 * index, fitting)));
    }
    const row = new SharedRow(this, index);
    this.#used[index] = true;
    try {
      if (data) this.device.write(row.part(data.length), data);
    } catch (cause) {
      row.release();
      throw cause;
    }
    return row;
  }

  release(index: number): void {
    this.#used[index] = false;
    if (this.#used.includes(true)) return;
    this.#tensor?.dispose();
    this.#tensor = undefined;
    this.#used.length = 0;
  }

  #resize(rows: number): void {
    const { device, width, dtype, label, arena } = this;
    const make = (): Tensor => device.empty([rows, width], dtype, label);
    const before = this.#tensor;
    const tensor = arena ? arena.run(make) : make();
    if (before) device.copy(before, 0, tensor, 0, before.sizeBytes);
    before?.dispose();
    this.#tensor = tensor;
    while (this.#used.length < rows) this.#used.push(false);
  }
}

/** The tensors of samplers whose choices share dispatches: a row of each for a sampler that needs it. */
export class SamplerRows {
  readonly tokens: SharedRows;
  readonly answers: SharedRows;
  readonly counts: SharedRows;
  readonly biases: SharedRows;
  readonly masks: SharedRows;
  /** Logits that wait for their mask. */
  readonly logits: SharedRows;

  /** `allowed`: tokens that may be chosen. `arena`: owns the tensors; the current one if not given. */
  constructor(device: Device, allowed: number, arena?: Arena) {
    this.logits = new SharedRows(device, "f32", allowed, "logits", arena);
    this.tokens = new SharedRows(device, "u32", 1, "tokens", arena);
    this.answers = new SharedRows(device, "u32", MOST_CHOICES, "answers", arena);
    this.counts = new SharedRows(device, "u32", allowed, "counts", arena);
    this.biases = new SharedRows(device, "f32", allowed, "bias", arena);
    this.masks = new SharedRows(device, "u32", Math.ceil(allowed / 32), "mask", arena);
  }
}
