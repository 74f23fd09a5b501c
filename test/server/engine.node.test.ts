import { expect, test } from "vitest";
import { DeviceLostError } from "../../src/base/errors.js";
import { Answer, type AnswerResult } from "../../src/models/chat/answer.js";
import type { ChatModel, ChatSession } from "../../src/models/chat/chat-model.js";
import type { Ended } from "../../src/server/backend.js";
import { Engine } from "../../src/server/engine.js";
import type { HiddenError } from "../../src/server/hidden-error.js";

// Answers of a session that is written here.

const USAGE = { promptTokens: 2, reusedTokens: 0, completionTokens: 1, totalTokens: 3 };
const RESULT = {
  text: "word",
  finishReason: "stop",
  usage: USAGE,
  timings: { preprocess: 0, vision: 0, prefill: 0, decode: 0, total: 0 },
} as unknown as AnswerResult;

function engineOf(generate: () => Promise<AnswerResult>) {
  const session: ChatSession = {
    clone: () => session,
    generate: () => Answer.start(generate, () => {}),
    reset: () => {},
    dispose: () => {},
  } as unknown as ChatSession;
  const model = { createSession: () => session } as unknown as ChatModel;
  const errors: HiddenError[] = [];
  const losses: string[] = [];
  const engine = new Engine(
    { model, name: "one" },
    {},
    { error: (error) => errors.push(error), lost: ({ message }) => losses.push(message) },
  );
  const ends: Ended[] = [];
  const ask = (body: string, path = "/v1/chat/completions"): Promise<Response> =>
    engine.answer(new Request(`http://model${path}`, { method: "POST", body }), (ended) => ends.push(ended));
  return { ask, ends, errors, losses };
}

const CHAT = JSON.stringify({ messages: [{ role: "user", content: "Hi" }] });
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

test("the end of a request is reported once, with what was answered", async () => {
  const { ask, ends } = engineOf(async () => RESULT);
  const reply = (await (await ask(CHAT)).json()) as { choices: { message: { content: string } }[] };
  expect(reply.choices[0]!.message.content).toBe("word");
  await soon();
  expect(ends).toMatchObject([{ answers: [{ usage: USAGE }] }]);
  const stream = await ask(JSON.stringify({ ...JSON.parse(CHAT), stream: true, n: 2, temperature: 1 }));
  expect(await stream.text()).toMatch(/\[DONE\]\n\n$/);
  await soon();
  expect(ends.map(({ answers }) => answers.length)).toEqual([1, 2]);
});

test("requests that are refused end too", async () => {
  const { ask, ends, errors } = engineOf(async () => RESULT);
  const status = async (body: string, path?: string): Promise<number> => (await ask(body, path)).status;
  expect(await status("{")).toBe(400);
  expect(await status("{}")).toBe(400);
  expect(await status(JSON.stringify({ ...JSON.parse(CHAT), model: "other" }))).toBe(404);
  expect(await status(JSON.stringify({ input: "x" }), "/v1/embeddings")).toBe(500);
  await soon();
  expect(ends.map(({ answers }) => answers.length)).toEqual([0, 0, 0, 0]);
  expect(errors).toMatchObject([{ name: "MissingFeatureError", known: true }]);
});

test("unexpected errors are reported and not disclosed", async () => {
  const { ask, errors } = engineOf(() => Promise.reject(new Error("internals")));
  const reply = await ask(CHAT);
  expect([reply.status, await reply.text()]).toEqual([500, expect.not.stringContaining("internals")]);
  expect(errors).toMatchObject([{ message: "internals", known: false }]);
});

test("a lost device answers nothing: the request will run elsewhere", async () => {
  const lost = new DeviceLostError({ where: "a", expected: "b", got: "c", remedy: "d" });
  const { ask, losses, ends } = engineOf(() => Promise.reject(lost));
  const reply = ask(CHAT).then(() => "answered");
  expect(await Promise.race([reply, soon()])).toBeUndefined();
  expect([losses, ends]).toEqual([[lost.message], []]);
});
