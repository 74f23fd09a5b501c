import { platform } from "#platform";
import type { WorkerEnd } from "./endpoint.js";

// Dawn aborts the process if a Node thread is terminated while one of its promises is pending. A worker's models are therefore disposed
// before it terminates, by `worker.terminate` or at the end of the process.

/** Maximum wait for submitted GPU work; a worker that doesn't respond is terminated anyway. */
const LONGEST_WAIT_MS = 60_000;

/** A model in a worker that must be disposed before the worker terminates. */
export interface Terminable {
  /** Requests the disposal; idempotent. */
  stop(): void;
  /** Resolves when the model is disposed, or the worker has terminated. */
  readonly stopped: Promise<void>;
  /** Becomes 1 at the same time, for synchronous waiting. */
  readonly flag: Int32Array;
}

const modelsOf = new WeakMap<object, Set<Terminable>>();

/** Creates a flag for {@link Terminable}; undefined where threads may terminate during GPU work (browsers). */
export function terminationFlag(): Int32Array | undefined {
  return platform.threads && new Int32Array(new SharedArrayBuffer(4));
}

/** Makes `worker.terminate()` and the end of this process wait until the model has been disposed. */
export function stopBeforeTermination(worker: WorkerEnd, model: Terminable): void {
  const models = modelsOf.get(worker) ?? guard(worker);
  models.add(model);
  const release = platform.threads?.onExit(() => {
    model.stop();
    Atomics.wait(model.flag, 0, 0, LONGEST_WAIT_MS);
  });
  void model.stopped.then(() => {
    models.delete(model);
    release?.();
  });
}

function guard(worker: WorkerEnd): Set<Terminable> {
  const models = new Set<Terminable>();
  modelsOf.set(worker, models);
  if (!("terminate" in worker) || typeof worker.terminate !== "function") return models;
  const terminate = worker.terminate.bind(worker) as () => Promise<number>;
  worker.terminate = async (): Promise<number> => {
    for (const model of models) model.stop();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, LONGEST_WAIT_MS);
    });
    await Promise.race([Promise.all([...models].map(({ stopped }) => stopped)), late]);
    clearTimeout(timer);
    return terminate();
  };
  return models;
}
