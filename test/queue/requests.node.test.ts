import { expect, test } from "vitest";
import { checkQueueName, checkRequest } from "../../src/queue/requests.js";

const good = { custom_id: "a", method: "POST", url: "/v1/responses", body: {} };

test.each([
  [undefined, "JobQueue.enqueue: expected a request, got none"],
  [{ ...good, custom_id: 3 }, "JobQueue.enqueue, custom_id: expected a text, got 3"],
  [{ ...good, custom_id: "" }, 'JobQueue.enqueue, custom_id: expected a text, got ""'],
  [{ ...good, method: "GET" }, 'JobQueue.enqueue, method: expected "POST", got "GET"'],
  [{ ...good, url: "/v1/embeddings" }, "JobQueue.enqueue, url: expected /v1/chat/completions or /v1/responses"],
])("%j is no request", (request, message) => {
  expect(() => checkRequest("JobQueue.enqueue", request)).toThrow(message);
});

test("a request, and a name of a queue, are accepted", () => {
  expect(() => checkRequest("x", good)).not.toThrow();
  expect(() => checkQueueName("x", "ocellus-7b")).not.toThrow();
});

test("a name with a colon or a space, or none, is not one of a queue", () => {
  for (const name of ["a:b", "a b", "", undefined, 3]) {
    expect(() => checkQueueName("JobQueue.connect, name", name)).toThrow("a name without colons and spaces");
  }
});
