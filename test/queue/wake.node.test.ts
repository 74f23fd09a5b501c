import { expect, test } from "vitest";
import { Wake } from "../../src/queue/wake.js";

test("a wake resolves a wait, and one that comes first is not lost", async () => {
  const wake = new Wake();
  wake.wake();
  wake.wake();
  await wake.wait();
  let isAwake = false;
  const waiting = wake.wait().then(() => {
    isAwake = true;
  });
  await Promise.resolve();
  expect(isAwake).toBe(false);
  wake.wake();
  await waiting;
  expect(isAwake).toBe(true);
});
