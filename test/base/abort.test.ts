import { expect, test } from "vitest";
import { pause, unlessAborted } from "../../src/base/abort.js";
import { AbortedError } from "../../src/base/errors.js";

const never = new Promise<never>(() => {});

test("a promise is itself without a signal, and while the signal is silent", async () => {
  const { signal } = new AbortController();
  expect(await unlessAborted(Promise.resolve(1), undefined, "work")).toBe(1);
  expect(await unlessAborted(Promise.resolve(2), signal, "work")).toBe(2);
  await expect(unlessAborted(Promise.reject(new Error("own")), signal, "work")).rejects.toThrow("own");
});

test("an abort rejects at once, with its reason, before and while waiting", async () => {
  const controller = new AbortController();
  const waiting = unlessAborted(never, controller.signal, "work");
  const reason = new Error("enough");
  controller.abort(reason);
  await expect(waiting).rejects.toThrow(AbortedError);
  await expect(waiting).rejects.toMatchObject({
    code: "ABORTED",
    cause: reason,
    message: expect.stringContaining("work"),
  });
  await expect(unlessAborted(never, controller.signal, "later")).rejects.toThrow(AbortedError);
});

test("a fault that comes after the abort is nobody's", async () => {
  let fail = (_: Error): void => {};
  const late = new Promise<never>((_, reject) => {
    fail = reject;
  });
  await expect(unlessAborted(late, AbortSignal.abort(), "work")).rejects.toThrow(AbortedError);
  fail(new Error("too late"));
  await new Promise((resolve) => setTimeout(resolve, 0));
});

test("signals keep no listeners of what is over", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  signal.addEventListener = () => void listeners++;
  signal.removeEventListener = () => void listeners--;
  await unlessAborted(Promise.resolve(), signal, "work");
  expect(listeners).toBe(0);
});

test("a pause lets the event loop run, and ends with the signal", async () => {
  const controller = new AbortController();
  let ran = false;
  setTimeout(() => {
    ran = true;
  });
  await pause(controller.signal, "work");
  expect(ran).toBe(true);
  setTimeout(() => controller.abort("enough"));
  await expect(pause(controller.signal, "work")).rejects.toMatchObject({ name: "AbortError", cause: "enough" });
});
