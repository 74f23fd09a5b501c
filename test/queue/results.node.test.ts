import { EventEmitter } from "node:events";
import type { Queue, QueueEvents } from "bullmq";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Results } from "../../src/queue/results.js";
import { answered, type BatchRequest, type BatchResult } from "../../src/server/batch-lines.js";

/** A queue of states that a test sets. */
class FakeQueue {
  readonly states = new Map<string, string>();
  readonly jobs = new Map<string, { returnvalue?: BatchResult; failedReason?: string }>();
  isAway = false;

  async getJobState(id: string): Promise<string> {
    if (this.isAway) throw new Error("away");
    return this.states.get(id) ?? "unknown";
  }

  async getJob(id: string) {
    return this.jobs.get(id);
  }
}

const done = answered("a", 200, {});
let queue: FakeQueue;
let events: EventEmitter;
let changed: ReturnType<typeof vi.fn<() => void>>;
let results: Results;
beforeEach(() => {
  vi.useFakeTimers();
  queue = new FakeQueue();
  events = new EventEmitter();
  changed = vi.fn();
  results = new Results(
    queue as unknown as Queue<BatchRequest, BatchResult>,
    events as unknown as QueueEvents,
    changed,
  );
});
afterEach(() => {
  results.close();
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(0);

test("a result comes from the event, once", async () => {
  queue.states.set("1", "active");
  results.expect("1");
  await settle();
  expect(results.take()).toBeUndefined();
  events.emit("completed", { jobId: "1", returnvalue: done });
  events.emit("completed", { jobId: "1", returnvalue: done });
  events.emit("completed", { jobId: "of another client", returnvalue: done });
  expect(changed).toHaveBeenCalledTimes(1);
  expect(results.take()).toEqual({ id: "1", end: { completed: done } });
  expect(results.take()).toBeUndefined();
});

test("a job that has ended before is found at once, and one that is not there too", async () => {
  queue.states.set("1", "completed");
  queue.jobs.set("1", { returnvalue: done });
  results.expect("1");
  results.expect("2");
  await settle();
  const found = [results.take(), results.take()];
  expect(found).toContainEqual({ id: "1", end: { completed: done } });
  expect(found).toContainEqual({ id: "2", end: undefined });
});

test("an event that was lost is made good by the states, also after an absence of the server", async () => {
  queue.states.set("1", "active");
  results.expect("1");
  await settle();
  queue.isAway = true;
  await vi.advanceTimersByTimeAsync(6000);
  queue.isAway = false;
  queue.states.set("1", "completed");
  queue.jobs.set("1", { returnvalue: done });
  expect(results.take()).toBeUndefined();
  await vi.advanceTimersByTimeAsync(6000);
  expect(results.take()).toEqual({ id: "1", end: { completed: done } });
});

test("an attempt that failed is no end while others are left", async () => {
  queue.states.set("1", "delayed");
  results.expect("1");
  events.emit("failed", { jobId: "1" });
  await settle();
  expect(results.take()).toBeUndefined();
  queue.states.set("1", "failed");
  queue.jobs.set("1", { failedReason: "the GPU was lost" });
  events.emit("failed", { jobId: "1" });
  await settle();
  expect(results.take()).toEqual({ id: "1", end: { failed: "the GPU was lost" } });
});
