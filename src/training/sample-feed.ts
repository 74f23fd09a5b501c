import type { RecordOrder } from "./record-order.js";
import type { Sample, TrainingRecord } from "./samples.js";

/** Bytes of tiles of prepared records that are kept for the next pass over the data. */
const KEPT_BYTES = 2 ** 28;

/** The records of each step, prepared; those that fit are kept for the next pass. */
export class SampleFeed {
  readonly #kept = new Map<number, Sample>();
  #bytes = 0;

  constructor(
    private readonly records: readonly TrainingRecord[],
    private readonly order: RecordOrder,
    private readonly batch: number,
    private readonly prepare: (record: TrainingRecord) => Promise<Sample>,
  ) {}

  /** The samples of a step, counted from 1. */
  async ofStep(step: number): Promise<Sample[]> {
    const samples: Sample[] = [];
    for (let i = 0; i < this.batch; i++) samples.push(await this.#at(this.order.at((step - 1) * this.batch + i)));
    return samples;
  }

  async #at(index: number): Promise<Sample> {
    const kept = this.#kept.get(index);
    if (kept) return kept;
    const sample = await this.prepare(this.records[index]!);
    this.#bytes += sample.media.flatMap(({ segments }) => segments).reduce((sum, { tiles }) => sum + tiles.length, 0);
    if (this.#bytes <= KEPT_BYTES) this.#kept.set(index, sample);
    return sample;
  }
}
