import { expect, test } from "vitest";
import { failure } from "../../src/openai/api-error.js";
import { apiOf, errorEventText, eventStream, WholeEvents } from "../../src/server/event-stream.js";

const LATE = failure(504, "too late", "timeout");

async function* failing(): AsyncGenerator<unknown> {
  yield { type: "one" };
  throw new Error("too late");
}

test("an error is the last event, numbered in the Responses API", async () => {
  const text = (api: "chat" | "responses"): Promise<string> =>
    eventStream(
      failing(),
      api,
      async () => LATE,
      () => {},
    ).text();
  expect(await text("chat")).toBe(`data: {"type":"one"}\n\ndata: ${JSON.stringify(LATE.body)}\n\n`);
  const named = (await text("responses")).split("\n\n");
  expect(named[0]).toBe('event: one\ndata: {"type":"one"}');
  expect(named[1]).toBe(errorEventText(LATE, "responses", 1).trimEnd());
  expect(named[1]).toContain('"sequence_number":1');
  expect([apiOf("/v1/responses"), apiOf("/v1/chat/completions")]).toEqual(["responses", "chat"]);
});

test("events are passed on whole and counted, wherever they are cut", () => {
  const text = ': working\n\ndata: {"a":"é"}\n\n: working\n\nevent: x\ndata: {}\n\n';
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size++) {
    const events = new WholeEvents();
    let passed = "";
    for (let at = 0; at < bytes.length; at += size) {
      const piece = events.add(bytes.subarray(at, at + size)).toString();
      expect(piece === "" || piece.endsWith("\n\n")).toBe(true);
      passed += piece;
    }
    expect([passed, events.sent]).toEqual([text, 2]);
  }
  const half = new WholeEvents();
  expect(half.add(Buffer.from("data: {}\n\ndata: {")).toString()).toBe("data: {}\n\n");
});
