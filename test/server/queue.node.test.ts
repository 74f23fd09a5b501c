import { expect, test } from "vitest";
import type { Priority } from "../../src/server/priority.js";
import { Queue } from "../../src/server/queue.js";

const forever = new AbortController().signal;
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** Enters, and writes the name when it begins; returns the release. */
function entering(queue: Queue, name: string, begun: string[], again = false, signal = forever): () => Promise<void> {
  const entered = queue.enter(signal, again).then((leave) => {
    begun.push(name);
    return leave;
  });
  entered.catch(() => {});
  return async () => (await entered)();
}

test("requests begin in order, as many at once as there are slots", async () => {
  const queue = new Queue(2, 10);
  const begun: string[] = [];
  const [a, , c] = ["a", "b", "c", "d"].map((name) => entering(queue, name, begun));
  await soon();
  expect([begun, queue.active, queue.length, queue.places]).toEqual([["a", "b"], 2, 2, 8]);
  await a!();
  await a!();
  await soon();
  expect([begun, queue.active, queue.length]).toEqual([["a", "b", "c"], 2, 1]);
  await c!();
  await soon();
  expect(begun).toEqual(["a", "b", "c", "d"]);
});

test("nothing begins while it is paused", async () => {
  const queue = new Queue(2, 10);
  const begun: string[] = [];
  queue.pause();
  entering(queue, "a", begun);
  await soon();
  expect([begun, queue.length]).toEqual([[], 1]);
  queue.resume();
  await soon();
  expect(begun).toEqual(["a"]);
});

test("a request that runs again is first, and alone", async () => {
  const queue = new Queue(2, 10);
  const begun: string[] = [];
  const a = entering(queue, "a", begun);
  const b = entering(queue, "b", begun);
  entering(queue, "c", begun);
  const again = entering(queue, "again", begun, true);
  const other = entering(queue, "other", begun, true);
  await soon();
  await a();
  await soon();
  // "b" still runs.
  expect(begun).toEqual(["a", "b"]);
  await b();
  await soon();
  expect([begun.at(-1), queue.active]).toEqual(["again", 1]);
  await again();
  await soon();
  expect([begun.at(-1), queue.active]).toEqual(["other", 1]);
  await other();
  await soon();
  expect(begun).toEqual(["a", "b", "again", "other", "c"]);
});

test("one that leaves makes room, also one that waited to run alone", async () => {
  const queue = new Queue(2, 10);
  const begun: string[] = [];
  entering(queue, "a", begun);
  const left = new AbortController();
  entering(queue, "again", begun, true, left.signal);
  entering(queue, "b", begun);
  await soon();
  expect(begun).toEqual(["a"]);
  left.abort();
  await soon();
  expect([begun, queue.length]).toEqual([["a", "b"], 0]);
  await expect(queue.enter(AbortSignal.abort())).rejects.toThrow("the queue");
});

test("the highest priority is first, in order within one", async () => {
  const queue = new Queue(1, 10);
  const begun: string[] = [];
  const release = await queue.enter(forever);
  for (const name of ["low 1", "normal 1", "high 1", "low 2", "normal 2", "high 2"]) {
    const [priority] = name.split(" ") as [Priority];
    queue.enter(forever, false, priority).then((leave) => {
      begun.push(name);
      leave();
    });
  }
  entering(queue, "again", begun, true).call(undefined);
  release();
  await soon();
  expect(begun).toEqual(["again", "high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]);
});
