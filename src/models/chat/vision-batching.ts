import type { Arena } from "../../runtime/arena.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { Network } from "../llava-onevision/network.js";

/** Tiles of a request that wait. */
interface Waiting {
  /** `[count, S, S, 3]` RGB8 */
  readonly tiles: Uint8Array;
  readonly count: number;
  /** Owns the result. */
  readonly owner: Arena;
  readonly signal: AbortSignal | undefined;
  readonly done: (features: Tensor) => void;
  readonly failed: (error: unknown) => void;
}

/** The first `count` tiles of a request in a batch. */
interface Taken {
  readonly request: Waiting;
  readonly count: number;
  readonly tiles: Uint8Array;
}

/**
 * Vision tiles in batches, which requests that wait at the same time share. Those that come while a batch is computed are in the next one.
 * A tile has the features that it has alone.
 */
export class VisionBatching {
  #waiting: Waiting[] = [];
  #running = false;

  constructor(
    private readonly network: Network,
    /** Whether sequences generate: then a batch has one tile of each request, so that their tokens wait for no more. */
    private readonly isBusy: () => boolean,
  ) {}

  /**
   * Projected features `[n·P, D]` of the first n of `count` tiles, at least one; resolves when the batch is recorded. Rejects with the
   * device's error. Never resolves if the signal fires before.
   */
  project(tiles: Uint8Array, count: number, owner: Arena, signal?: AbortSignal): Promise<Tensor> {
    return new Promise((done, failed) => {
      this.#waiting.push({ tiles, count, owner, signal, done, failed });
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while (this.#waiting.length > 0) {
      const taken = this.#take();
      try {
        await this.#record(taken);
      } catch (error) {
        for (const { request } of taken) request.failed(error);
      }
      // The loss of the device is reported to the requests.
      await this.network.device.sync().catch(() => {});
    }
    this.#running = false;
  }

  /** As many tiles as fit a batch, of the requests that have waited longest. */
  #take(): Taken[] {
    const taken: Taken[] = [];
    const ofOne = this.isBusy() ? 1 : Number.POSITIVE_INFINITY;
    let room = this.network.tilesPerBatch;
    while (room > 0 && this.#waiting.length > 0) {
      const request = this.#waiting.shift()!;
      if (request.signal?.aborted) continue;
      const count = Math.min(request.count, ofOne, room);
      const tileBytes = request.tiles.length / request.count;
      taken.push({ request, count, tiles: request.tiles.subarray(0, count * tileBytes) });
      room -= count;
    }
    return taken;
  }

  async #record(taken: readonly Taken[]): Promise<void> {
    const { network } = this;
    const { device } = network;
    const [first, ...others] = taken;
    if (!first) return;
    if (others.length === 0) {
      const { request, count, tiles } = first;
      const { owner, signal } = request;
      request.done(await network.see("project", tiles, count, { owner, where: "vision", signal }));
      return;
    }
    const bytes = new Uint8Array(taken.reduce((sum, { tiles }) => sum + tiles.length, 0));
    let at = 0;
    for (const { tiles } of taken) {
      bytes.set(tiles, at);
      at += tiles.length;
    }
    const all = taken.reduce((sum, { count }) => sum + count, 0);
    const arena = device.arena("vision");
    try {
      const features = await network.see("project", bytes, all, { owner: arena, where: "vision" }); // [n·P, D]
      const width = features.size(1);
      let row = 0;
      for (const { request, count } of taken) {
        const rows = (count * features.size(0)) / all;
        try {
          const own = request.owner.run(() => device.empty([rows, width], "f32", features.label));
          device.copy(features, row * width * 4, own, 0, own.sizeBytes);
          request.done(own);
        } catch (error) {
          request.failed(error);
        }
        row += rows;
      }
    } finally {
      arena.dispose();
    }
  }
}
