import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { Turns } from "../../src/server/turns.js";

const busy = (ms: number): void => {
  const until = performance.now() + ms;
  while (performance.now() < until);
};

test("work is done in its order, some milliseconds of it in each turn of the event loop", async () => {
  const turns = new Turns();
  const done: number[] = [];
  for (let i = 0; i < 6; i++) {
    turns.add(() => {
      busy(3);
      done.push(i);
    });
  }
  expect(done).toEqual([]);
  const after: number[] = [];
  while (done.length < 6) {
    await setImmediate();
    after.push(done.length);
  }
  // Each turn ends with the work that exceeds it; none takes everything.
  expect(done).toEqual([0, 1, 2, 3, 4, 5]);
  expect(new Set(after).size).toBeGreaterThan(2);
  expect(Math.max(...after.map((count, i) => count - (after[i - 1] ?? 0)))).toBeLessThan(3);
});

test("work that adds work comes after what waits, and work after a pause is done", async () => {
  const turns = new Turns();
  const done: string[] = [];
  turns.add(() => {
    done.push("first");
    turns.add(() => done.push("third"));
  });
  turns.add(() => done.push("second"));
  for (let i = 0; i < 4; i++) await setImmediate();
  expect(done).toEqual(["first", "second", "third"]);
  turns.add(() => done.push("fourth"));
  await setImmediate();
  await setImmediate();
  expect(done).toHaveLength(4);
});
