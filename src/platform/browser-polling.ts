/**
 * Firefox looks for completed GPU work every 100 ms, and at every submission: https://bugzilla.mozilla.org/show_bug.cgi?id=1870699.
 * Firefox on iOS is WebKit, and has another name in its user agent.
 */
const LOOKS_SELDOM = / Firefox\//.test(globalThis.navigator?.userAgent ?? "");

/** Interval of empty submissions in milliseconds, the shortest that browsers give repeated timers. */
const NUDGE_MS = 4;

/** Queues that are nudged. */
const loops = new Map<GPUQueue, { waits: number }>();

/** Waits for `promise`, which the work of `queue` settles. Most browsers report completion at once; Firefox has to be made to look. */
export function waitFor<T>(promise: Promise<T>, queue: GPUQueue): Promise<T> {
  return LOOKS_SELDOM ? nudging(promise, queue) : promise;
}

/** Waits for `promise`, and makes empty submissions to `queue` meanwhile: one timer for all waits of a queue. */
export function nudging<T>(promise: Promise<T>, queue: GPUQueue): Promise<T> {
  const loop = loops.get(queue) ?? { waits: 0 };
  loop.waits++;
  const settle = (): void => {
    loop.waits--;
  };
  promise.then(settle, settle);
  if (!loops.has(queue)) {
    loops.set(queue, loop);
    nudge(queue, loop);
  }
  return promise;
}

function nudge(queue: GPUQueue, loop: { waits: number }): void {
  setTimeout(() => {
    if (loop.waits === 0) {
      loops.delete(queue);
      return;
    }
    queue.submit([]);
    nudge(queue, loop);
  }, NUDGE_MS);
}
