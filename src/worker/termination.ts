import { platform } from "#platform";
import type { WorkerEnd } from "./endpoint.js";

// Dawn aborts the whole process when a thread of Node is terminated while one of its promises is pending. So a worker's models are
// disposed first, whoever terminates it: the program through `worker.terminate`, or the process by ending.

/** The longest wait for GPU work that was submitted; a worker that doesn't answer is terminated all the same. */
const LONGEST_WAIT_MS = 60_000;

/** A model in a worker: what ends it, and when it has ended. */
export interface Terminable {
  /** Asks the worker to dispose the model; may be called again. */
  stop(): void;
  /** Resolves when the worker has done so, or has ended. */
  readonly stopped: Promise<void>;
  /** Becomes 1 at the same time; for threads that can't wait for a promise. */
  readonly flag: Int32Array;
}

const modelsOf = new WeakMap<object, Set<Terminable>>();

/** A flag for {@link Terminable}; undefined where threads may end in the middle of GPU work (the browser). */
export function terminationFlag(): Int32Array | undefined {
  return platform.threads && new Int32Array(new SharedArrayBuffer(4));
}

/** From now on `worker.terminate()`, and the end of this process, wait until the model has been disposed. */
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
