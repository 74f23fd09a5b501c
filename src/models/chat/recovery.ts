import { unlessAborted } from "../../base/abort.js";
import { DeviceLostError } from "../../base/errors.js";
import type { KVPool } from "../../layers/kv-pool.js";
import type { LoadProgress } from "../../layers/weights.js";
import type { Device } from "../../runtime/device.js";
import { isOutOfMemory } from "../../runtime/gpu-fault.js";
import type { AnswerProgress } from "./answer.js";

/** This many losses in this time end with the error. */
const MOST_LOSSES = 3;
const LOSS_SECONDS = 60;

/** The model that a {@link Recovery} restores. */
export interface Recoverable {
  readonly device: Device;
  readonly kvPool: KVPool;
  /** Replaces the lost device by another, and loads the weights again. */
  reloadLost(onProgress: (progress: LoadProgress) => void): Promise<void>;
  /** Frees all memory on the device that can be computed again and is not in use. */
  shed(): Promise<void>;
  /** Throws DisposedError after the model's `dispose`. */
  check(): void;
}

/** Options of the call that waits for a reload. */
export interface RecoveryOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: AnswerProgress) => void) | undefined;
}

/**
 * Repeats work after the loss of the device, once the model is reloaded; once where memory ran out, after the caches are freed; and where its
 * keys and values do not fit beside those of others, when these have less; who came first is first.
 * Calls that fail together wait for one reload.
 */
export class Recovery {
  /** Times of the losses, in milliseconds of `performance.now()`, and the errors that are counted. */
  #losses: number[] = [];
  readonly #counted = new WeakSet<DeviceLostError>();
  #reloading: Promise<void> | undefined;
  readonly #listeners = new Set<(progress: LoadProgress) => void>();

  constructor(
    /** Whether a lost device is replaced: `onDeviceLost: "reload"`. */
    readonly reloads: boolean,
  ) {}

  /** Runs `work`, again after every loss and shortage. `work` continues from what it had given. */
  async run<T>(model: Recoverable, work: () => Promise<T>, options: RecoveryOptions): Promise<T> {
    let place: { readonly pool: KVPool; readonly cause: unknown } | undefined;
    try {
      for (let hasShed = false; ; ) {
        const { device } = model;
        try {
          return await work();
        } catch (cause) {
          if (cause instanceof DeviceLostError && this.reloads) await this.#afterReload(model, device, cause, options);
          else if (isOutOfMemory(cause)) {
            // After the second error too: buffers that were refused go back to the pool, which must not reuse them.
            await model.shed();
            if (hasShed) throw cause;
            hasShed = true;
          } else {
            const { kvPool: pool } = model;
            const room = pool.room(cause);
            if (!room) throw cause;
            place = { pool, cause };
            await unlessAborted(room, options.signal, "waiting for room in the KV cache");
          }
        }
      }
    } finally {
      place?.pool.forgo(place.cause);
    }
  }

  /** Loads, and again if the device is lost meanwhile. */
  async load<T>(load: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await load();
      } catch (cause) {
        if (!this.reloads || !(cause instanceof DeviceLostError)) throw cause;
        this.#count(cause);
      }
    }
  }

  async #afterReload(
    model: Recoverable,
    lost: Device,
    cause: DeviceLostError,
    options: RecoveryOptions,
  ): Promise<void> {
    model.check();
    if (model.device !== lost) return;
    let fail = (_: unknown): void => {};
    // An error of the caller's callback ends its call, not the reload.
    const failed = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const listener = ({ loadedBytes, totalBytes }: LoadProgress): void => {
      try {
        options.onProgress?.({ stage: "reload", done: loadedBytes, total: totalBytes });
      } catch (error) {
        fail(error);
      }
    };
    this.#listeners.add(listener);
    try {
      await Promise.race([unlessAborted(this.#reload(model, cause), options.signal, "reloading the model"), failed]);
    } finally {
      this.#listeners.delete(listener);
    }
  }

  #reload(model: Recoverable, cause: DeviceLostError): Promise<void> {
    if (this.#reloading) return this.#reloading;
    const reload = async (): Promise<void> => {
      this.#count(cause);
      await this.load(() =>
        model.reloadLost((progress) => {
          for (const listener of this.#listeners) listener(progress);
        }),
      );
    };
    this.#reloading = reload()
      .catch((error: unknown) => {
        model.check(); // a model that was disposed meanwhile says so
        throw error;
      })
      .finally(() => {
        this.#reloading = undefined;
      });
    return this.#reloading;
  }

  /** Counts a loss. Throws DeviceLostError where there were too many. */
  #count(cause: DeviceLostError): void {
    const now = performance.now();
    this.#losses = this.#losses.filter((at) => now - at < LOSS_SECONDS * 1000);
    if (!this.#counted.has(cause)) {
      this.#counted.add(cause);
      this.#losses.push(now);
    }
    if (this.#losses.length < MOST_LOSSES) return;
    throw new DeviceLostError({
      where: cause.fault.where,
      expected: `fewer than ${MOST_LOSSES} losses in ${LOSS_SECONDS} seconds`,
      got: `${this.#losses.length}; the last: ${cause.fault.got}`,
      remedy: "wait a minute and call again; if it persists, use a smaller dtype, or fewer pictures or frames",
      cause,
    });
  }
}
