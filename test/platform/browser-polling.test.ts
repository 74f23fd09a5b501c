import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { nudging, waitFor } from "../../src/platform/browser-polling.js";

/** A queue that counts what is submitted to it. */
function countingQueue(): { queue: GPUQueue; submitted: unknown[] } {
  const submitted: unknown[] = [];
  const submit = (commands: Iterable<GPUCommandBuffer>): undefined => {
    submitted.push([...commands]);
  };
  return { queue: { submit } as unknown as GPUQueue, submitted };
}

interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
}

function deferred<T>(): Deferred<T> {
  const parts = {} as Deferred<T>;
  parts.promise = new Promise<T>((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

const SECOND = 1000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("a wait submits nothing again and again, until it ends", async () => {
  const { queue, submitted } = countingQueue();
  const { promise, resolve } = deferred<number>();
  const result = nudging(promise, queue);
  await vi.advanceTimersByTimeAsync(SECOND);
  const during = submitted.length;
  expect(during).toBeGreaterThan(50);
  expect(submitted.every((commands) => (commands as unknown[]).length === 0)).toBe(true);
  resolve(7);
  expect(await result).toBe(7);
  await vi.advanceTimersByTimeAsync(SECOND);
  expect(submitted.length).toBe(during);
  expect(vi.getTimerCount()).toBe(0);
});

test("waits of one queue share a timer, one after the other and at once; a failed one ends too", async () => {
  const { queue, submitted } = countingQueue();
  const other = countingQueue();
  for (let i = 0; i < 10; i++) await nudging(Promise.resolve(), queue);
  expect(vi.getTimerCount()).toBe(1);
  const [first, second] = [deferred<void>(), deferred<void>()];
  const waits = [nudging(first.promise, queue), nudging(second.promise, queue)];
  expect(vi.getTimerCount()).toBe(1);
  void nudging(new Promise(() => {}), other.queue);
  expect(vi.getTimerCount()).toBe(2);
  first.reject(new Error("lost"));
  await expect(waits[0]).rejects.toThrow("lost");
  await vi.advanceTimersByTimeAsync(SECOND);
  const during = submitted.length;
  expect(during).toBeGreaterThan(50);
  second.resolve();
  await waits[1];
  await vi.advanceTimersByTimeAsync(SECOND);
  expect(submitted.length).toBe(during);
});

test("browsers that are told of completion get no submissions", async () => {
  const { queue, submitted } = countingQueue();
  const promise = new Promise<string>((resolve) => setTimeout(() => resolve("done"), SECOND));
  expect(waitFor(promise, queue)).toBe(promise);
  await vi.advanceTimersByTimeAsync(SECOND);
  expect(submitted).toEqual([]);
});
