import { afterAll, beforeAll, expect, test } from "vitest";
import { createOcellus } from "../../src/ai/index.js";
import { AbortedError, DisposedError, OptionError, PromptError } from "../../src/base/errors.js";
import type { GenerateOptions } from "../../src/models/chat/generate-options.js";
import type { ImageContent } from "../../src/models/llava-onevision/processor.js";
import { promptAPI } from "../../src/prompt-api/index.js";
import { WorkerModel } from "../../src/worker/index.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { ANSWER, ask, image, picture, question, read } from "../support/square.js";
import { startWorker, type TestWorker } from "../support/worker.js";

// Sessions of a model in a worker, and what runs over them; test/worker/worker-model.test.ts is the same in Chromium.

const files = await checkpointFiles(TINY);

let worker: TestWorker;
let model: WorkerModel;
let loaded: number;
beforeAll(async () => {
  worker = await startWorker();
  model = await WorkerModel.load(worker.end, files);
  loaded = await worker.bytes();
});
afterAll(async () => {
  model.dispose();
  while ((await worker.bytes()) > 0);
  worker.terminate();
});

test("special tokens in texts are text in the worker too, unless the call says otherwise", async () => {
  using session = model.createSession({ system: "<|im_end|>" });
  const literal = await session.measure("<|im_end|> <image>");
  const parse = await session.measure("<|im_end|>", { specialTokens: "parse" });
  expect(literal.visualTokens).toBe(0);
  expect(literal.promptTokens).toBeGreaterThan(parse.promptTokens + 16);
  await expect(session.measure("<image>", { specialTokens: "parse" })).rejects.toThrow(PromptError);
});

test("two sessions stream at the same time, and one that is read slowly holds nobody up", async () => {
  using first = model.createSession();
  using second = model.createSession();
  const order: string[] = [];
  const long: GenerateOptions = { minNewTokens: 40, maxNewTokens: 40 };
  const slow = first.generate("Hello!", long);
  const reader = slow[Symbol.asyncIterator]();
  await reader.next();
  const quick = second.generate(question, { onProgress: ({ stage }) => order.push(stage) });
  expect(await read(quick)).toBe(ANSWER);
  expect(new Set(order)).toEqual(new Set(["vision", "prefill", "decode"]));
  expect((await slow.result).tokens).toHaveLength(40);
  let rest = 0;
  while (!(await reader.next()).done) rest++;
  expect(rest).toBeGreaterThanOrEqual(39);
});

test("stop, and leaving the iteration early", async () => {
  using session = model.createSession();
  const long: GenerateOptions = { minNewTokens: 200, maxNewTokens: 200 };
  const answer = session.generate("Hello!", long);
  await answer[Symbol.asyncIterator]().next();
  answer.stop();
  const { finishReason, tokens } = await answer.result;
  expect(finishReason).toBe("stopped");
  expect(tokens.length).toBeLessThan(200);
  const left = session.generate("Hello!", long);
  for await (const _ of left) break;
  expect((await left.result).finishReason).toBe("stopped");
  const early = session.generate("Hello!", long);
  early.stop();
  expect((await early.result).finishReason).toBe("stopped");
});

test("follow-up questions, clone and reset", async () => {
  using session = model.createSession({ system: "Be brief." });
  const beginning = session.messages;
  expect(beginning).toMatchObject([{ role: "system" }]);
  const started = await session.generate([image, ask]).result;
  expect(session.messages).toHaveLength(3);
  expect((session.messages[1]!.content as ImageContent[])[0]).toBe(image);
  using copy = session.clone();
  expect(copy.messages).toEqual(session.messages);
  const next = "Which shape is orange?";
  const [one, other] = await Promise.all([session.generate(next).result, copy.generate(next).result]);
  expect(other.tokens).toEqual(one.tokens);
  expect(one.usage.reusedTokens).toBeGreaterThan(started.usage.visualTokens);
  expect(one.usage.tiles).toBe(0);
  expect((copy.messages[1]!.content as ImageContent[])[0]).toBe(image);
  session.reset();
  expect(session.messages).toEqual(beginning);
  expect((await session.generate([image, ask]).result).tokens).toEqual(started.tokens);
});

test("returns attention maps and adapter facts", async () => {
  expect(model.adapter.name).toMatch(/\w/);
  expect(model.contextTokens).toBe(4096);
  using session = model.createSession();
  await expect(session.attention()).rejects.toThrow(OptionError);
  await session.generate(question).result;
  const controller = new AbortController();
  const aborted = session.attention({ signal: controller.signal });
  controller.abort();
  await expect(aborted).rejects.toThrow(AbortedError);
  const { tokens, media } = await session.attention({ tokens: [2] });
  expect(tokens).toEqual([2]);
  expect(media).toHaveLength(1);
  const { rows, columns, values } = media[0]!.maps[0]!;
  expect(values).toBeInstanceOf(Float32Array);
  // The square is at the top left.
  const most = values.indexOf(Math.max(...values));
  expect(Math.floor(most / columns)).toBeLessThan(rows / 2);
  expect(most % columns).toBeLessThan(columns / 2);
});

test("a prompt that is measured and computed ahead", async () => {
  using session = model.createSession();
  const measured = await session.measure([image, ask]);
  expect(session.messages).toEqual([]);
  await session.append([image]);
  const { text, usage } = await session.generate([ask]).result;
  expect(text).toBe(ANSWER);
  expect(usage.promptTokens).toBe(measured.promptTokens);
  expect(usage.tiles).toBe(0);
  expect((session.messages[0]!.content as ImageContent[])[0]).toBe(image);
});

test("expressions and objects of schema libraries cross as data, and a wrong one rejects the answer", async () => {
  using session = model.createSession();
  expect((await session.generate(question, { regex: /Yes|No/ }).result).text).toMatch(/^(Yes|No)$/);
  const input = () => ({ enum: ["one", "two"] });
  const schema = { "~standard": { version: 1, vendor: "own", validate: () => ({}), jsonSchema: { input } } };
  expect(["one", "two"]).toContain(JSON.parse((await session.generate(question, { schema }).result).text));
  await expect(session.generate(question, { regex: /yes/i }).result).rejects.toThrow(OptionError);
  const { tokens } = await session.generate(question, { logitBias: { 5: 100 }, maxNewTokens: 2 }).result;
  expect(tokens).toEqual([5, 5]);
});

test("options are checked at once", async () => {
  using session = model.createSession();
  expect(() => session.generate(question, { maxTokens: 3 } as GenerateOptions)).toThrow(/maxNewTokens/);
  expect(() => session.generate(question, { temperature: -1 })).toThrow(OptionError);
  expect(() => model.createSession({ sytem: "Be brief." } as object)).toThrow(/`system`/);
  await expect(session.generate(question, { onTaps: () => {} }).result).rejects.toThrow(/onTaps/);
  const running = session.generate(question);
  expect(() => session.generate(question)).toThrow(OptionError);
  expect((await running.result).text).toBe(ANSWER);
});

test("sessions give their caches back", async () => {
  const few = { maxNewTokens: 4 };
  const before = await worker.bytes();
  const sessions = [model.createSession(), model.createSession()];
  for (const session of sessions) await session.generate("Hello!", few).result;
  for (const session of sessions) session.dispose();
  expect(() => sessions[0]!.generate(question)).toThrow(DisposedError);
  await expect(sessions[0]!.measure("Hello!")).rejects.toThrow(DisposedError);
  // Blocks stay in the pool for the next session: twice as many would show.
  for (let i = 0; i < 4; i++) {
    using session = model.createSession();
    await session.generate("Hello!", few).result;
  }
  expect(await worker.bytes()).toBeLessThan(2 * Math.max(before, loaded));
});

test("the AI SDK's provider and the Prompt API run over it", async () => {
  const ocellus = createOcellus(model);
  const content = [{ type: "file", mediaType: "image/png", data: picture }, ask];
  const result = await ocellus().doGenerate({ prompt: [{ role: "user", content }] });
  expect(result.content).toEqual([{ type: "text", text: ANSWER }]);
  ocellus.dispose();
  const session = await promptAPI(model).create();
  await session.append([{ role: "user", content: [{ type: "image", value: picture }] }]);
  const other = await session.clone();
  expect(await session.prompt(ask.text)).toBe(ANSWER);
  session.destroy();
  let text = "";
  const reader = other.promptStreaming(ask.text).getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
  expect(text).toBe(ANSWER);
  other.destroy();
});

test("invalid embedding inputs are rejected, and an abort frees all memory", async () => {
  await expect(model.embedText("")).rejects.toThrow(PromptError);
  await expect(model.embedText(42 as never)).rejects.toThrow(PromptError);
  await expect(model.embedImage(undefined as never)).rejects.toThrow(PromptError);
  await expect(model.embedImage(picture, { kind: "tokens" } as object)).rejects.toThrow(OptionError);
  const controller = new AbortController();
  const onProgress = () => controller.abort();
  const aborted = model.embedImage(picture, { signal: controller.signal, onProgress });
  await expect(aborted).rejects.toThrow(AbortedError);
  expect((await model.embedText("one")).length).toBeGreaterThan(0);
});
