import { expect, test } from "vitest";
import type { AnswerCounts } from "../../src/server/backend.js";
import { Log } from "../../src/server/log.js";
import { RequestRecord } from "../../src/server/request-record.js";

const answer = (completionTokens: number): AnswerCounts => ({
  usage: {
    promptTokens: 7,
    visualTokens: 0,
    tiles: 0,
    reusedTokens: 0,
    completionTokens,
    draftedTokens: 0,
    acceptedTokens: 0,
    totalTokens: 7 + completionTokens,
  },
  timings: { preprocess: 0, vision: 0, prefill: 0, decode: 0, total: 0 },
});

async function lineOf(record: RequestRecord): Promise<Record<string, unknown>> {
  const lines: string[] = [];
  await record.write(new Log("json", (line) => lines.push(line)));
  return JSON.parse(lines[0]!);
}

test("the prompt counts once, the answers together; the line waits for all that is sent and computed", async () => {
  const record = new RequestRecord("id-1", "POST", "/v1/chat/completions", "127.0.0.1");
  record.status = 200;
  record.begunMs = record.arrivedMs + 1500;
  let sent = (): void => {};
  record.sent = new Promise<void>((resolve) => {
    sent = resolve;
  });
  record.ended = async () => ({ answers: [answer(3), answer(4)], seconds: 1 });
  const line = lineOf(record);
  expect(await Promise.race([line, new Promise((resolve) => setTimeout(resolve, 20))])).toBeUndefined();
  record.code = "timeout";
  sent();
  expect(await line).toMatchObject({
    level: "info",
    id: "id-1",
    waited: 1.5,
    prompt_tokens: 7,
    completion_tokens: 7,
    error: "timeout",
  });
});

test("a request that was refused has no tokens; failures of the server are warnings", async () => {
  const record = new RequestRecord(undefined, "GET", "other", undefined);
  record.status = 503;
  const line = await lineOf(record);
  expect(Object.keys(line)).toEqual(["time", "level", "event", "id", "method", "route", "status", "seconds"]);
  expect(line.level).toBe("warning");
});
