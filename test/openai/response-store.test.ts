import { expect, test } from "vitest";
import { ResponseStore } from "../../src/openai/response-store.js";
import type { OutputMessage } from "../../src/openai/responses-wire.js";

const item = (content: string) => ({ param: "input", item: { role: "user", content } });
const answer = (id: string): OutputMessage => ({
  id,
  type: "message",
  status: "completed",
  role: "assistant",
  content: [{ type: "output_text", text: "Yes.", annotations: [], logprobs: [] }],
});

test("continues a conversation by the id of its response, and finds answers by their own", () => {
  const store = new ResponseStore(2);
  store.keep("r1", [item("One?")], answer("m1"));
  expect(store.conversation("r1")?.map(({ item }) => item.role)).toEqual(["user", "assistant"]);
  expect(store.conversation("r2")).toBe(undefined);
  expect(store.answer("m1")?.content[0]?.text).toBe("Yes.");
  expect(store.answer("r1")).toBe(undefined);
});

test("evicts the least recently used response beyond the number, and beyond the characters", () => {
  const store = new ResponseStore(2, 10_000);
  store.keep("r1", [item("One?")], answer("m1"));
  store.keep("r2", [item("Two?")], answer("m2"));
  store.conversation("r1");
  store.keep("r3", [item("Three?")], answer("m3"));
  expect(["r1", "r2", "r3"].filter((id) => store.conversation(id))).toEqual(["r1", "r3"]);
  store.keep("r4", [item("x".repeat(9500))], answer("m4"));
  expect(["r1", "r3", "r4"].filter((id) => store.conversation(id))).toEqual(["r4"]);
  store.keep("r5", [item("x".repeat(11_000))], answer("m5"));
  expect(["r4", "r5"].filter((id) => store.conversation(id))).toEqual(["r4"]);
  const none = new ResponseStore(0);
  none.keep("r1", [item("One?")], answer("m1"));
  expect(none.conversation("r1")).toBe(undefined);
});

test("counts what is nested deeply", () => {
  let nested: unknown = 0;
  for (let depth = 0; depth < 100_000; depth++) nested = [nested];
  const store = new ResponseStore(1, 1000);
  store.keep("r1", [{ param: "input", item: { nested } }], answer("m1"));
  expect(store.conversation("r1")).toBe(undefined);
});
