import { GPU_COPY_DST, GPU_COPY_SRC, GPU_MAP_READ, GPU_QUERY_RESOLVE } from "./pool.js";

/** Counts since the device was opened; take differences to measure a piece of work. */
export interface Counters {
  dispatches: number;
  submissions: number;
  /** Copies to host memory. */
  readbacks: number;
}

/** One dispatch as timed by the adapter. */
export interface TimedPass {
  readonly name: string;
  /** 0 if the adapter has no timestamps. */
  readonly milliseconds: number;
}

/** Maximum number of timed passes; further ones are not timed. */
const CAPACITY = 2048;

/** Records the name of every dispatch, and its GPU time if the adapter has `timestamp-query`. Off until `start()`. */
export class Profile {
  #names: string[] = [];
  #queries: GPUQuerySet | undefined;
  enabled = false;

  constructor(
    readonly gpu: GPUDevice,
    readonly available: boolean,
  ) {}

  /** Starts recording, and discards earlier records. */
  start(): void {
    if (this.available) this.#queries ??= this.gpu.createQuerySet({ type: "timestamp", count: CAPACITY * 2 });
    this.#names = [];
    this.enabled = true;
  }

  /** Returns the descriptor of the next compute pass. */
  pass(label: string): GPUComputePassDescriptor {
    if (!this.enabled || this.#names.length === CAPACITY) return { label };
    const at = this.#names.push(label) - 1;
    if (!this.#queries) return { label };
    return {
      label,
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: at * 2,
        endOfPassWriteIndex: at * 2 + 1,
      },
    };
  }

  /** Stops recording and returns the timed passes. Call after `device.flush()`. */
  async stop(): Promise<TimedPass[]> {
    const names = this.#names;
    this.enabled = false;
    this.#names = [];
    if (names.length === 0) return [];
    if (!this.#queries) return names.map((name) => ({ name, milliseconds: 0 }));
    const size = names.length * 16;
    const resolved = this.gpu.createBuffer({ size, usage: GPU_QUERY_RESOLVE | GPU_COPY_SRC });
    const staging = this.gpu.createBuffer({ size, usage: GPU_MAP_READ | GPU_COPY_DST });
    try {
      const encoder = this.gpu.createCommandEncoder();
      encoder.resolveQuerySet(this.#queries, 0, names.length * 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
      this.gpu.queue.submit([encoder.finish()]);
      await staging.mapAsync(1 /* GPUMapMode.READ */);
      const ticks = new BigUint64Array(staging.getMappedRange());
      return names.map((name, i) => ({ name, milliseconds: Number(ticks[i * 2 + 1]! - ticks[i * 2]!) / 1e6 }));
    } finally {
      resolved.destroy();
      staging.destroy();
    }
  }

  dispose(): void {
    this.#queries?.destroy();
    this.#queries = undefined;
  }
}
