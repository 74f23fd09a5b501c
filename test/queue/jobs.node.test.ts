import { expect, test } from "vitest";
import { failedResult, jobId, jobName } from "../../src/queue/jobs.js";
import type { BatchRequest } from "../../src/server/batch-lines.js";

const request = (custom_id: string, body: unknown): BatchRequest => ({
  custom_id,
  method: "POST",
  url: "/v1/chat/completions",
  body,
});

test("a job's id depends on custom_id, URL and body, and is one that BullMQ accepts", () => {
  const id = jobId(request("a", { messages: [] }));
  expect(id).toMatch(/^[0-9a-f]{40}$/);
  expect(jobId(request("a", { messages: [] }))).toBe(id);
  const others = [
    request("b", { messages: [] }),
    request("a", { messages: ["x"] }),
    { ...request("a", { messages: [] }), url: "/v1/responses" as const },
    request('a","x', []),
  ];
  expect(new Set([id, ...others.map(jobId)]).size).toBe(5);
});

test("a job's name is a short custom_id", () => {
  expect(jobName(request("page 1", {}))).toBe("page 1");
  expect(jobName(request("x".repeat(1000), {}))).toHaveLength(100);
});

test("a failed job has a result of status 500, which batches retry", () => {
  const result = failedResult("a", "the GPU was lost");
  expect(result).toMatchObject({
    custom_id: "a",
    response: { status_code: 500, body: { error: { message: "the GPU was lost", type: "server_error" } } },
    error: null,
  });
});
