import { expect, test } from "vitest";
import { failure } from "../../src/openai/api-error.js";
import { Deadline } from "../../src/server/deadline.js";
import { Refusal } from "../../src/server/refusal.js";

const statusOf = ({ signal }: Deadline): number => (signal.reason as Refusal).reply.status;
const aborted = ({ signal }: Deadline): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener("abort", resolve));

test("time, the client and the server end a request; the first reason stays", async () => {
  const client = new AbortController();
  const late = new Deadline(0.01, client.signal);
  await aborted(late);
  client.abort();
  expect([statusOf(late), (late.signal.reason as Refusal).headers]).toEqual([504, { "x-should-retry": "false" }]);
  const left = new Deadline(100, client.signal);
  expect(statusOf(left)).toBe(499);
  left.clear();
  const stopped = new Deadline(100, new AbortController().signal);
  stopped.end(new Refusal(failure(503, "the server is stopping", "unavailable")));
  expect(statusOf(stopped)).toBe(503);
  stopped.clear();
});

test("a limit of years is none", async () => {
  const deadline = new Deadline(1e9, new AbortController().signal);
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(deadline.signal.aborted).toBe(false);
  deadline.clear();
});

test("a request that has ended is not ended by time", async () => {
  const deadline = new Deadline(0.01, new AbortController().signal);
  deadline.clear();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(deadline.signal.aborted).toBe(false);
});
