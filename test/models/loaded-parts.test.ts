import { expect, test } from "vitest";
import { lastingSignal } from "../../src/models/loaded-parts.js";

test("a signal of loading follows the caller's until the model is loaded", () => {
  const caller = new AbortController();
  const [ended, following] = [lastingSignal(caller.signal), lastingSignal(caller.signal)];
  ended.end();
  caller.abort("the page was left");
  expect(ended.controller.signal.aborted).toBe(false);
  expect(following.controller.signal.reason).toBe("the page was left");
  expect(lastingSignal(caller.signal).controller.signal.aborted).toBe(true);
  expect(lastingSignal(undefined).controller.signal.aborted).toBe(false);
});
