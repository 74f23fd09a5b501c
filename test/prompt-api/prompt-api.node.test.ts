import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { ChatModel } from "../../src/models/chat/chat-model.js";
import type { ChatMessage } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { promptAPI } from "../../src/prompt-api/index.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";
import { readFixture } from "../support/fixture.js";

// The Prompt API of Chrome over the embedded checkpoint.

let model: LlavaOneVision;
let LanguageModel: ReturnType<typeof promptAPI>;
let image: Blob;
beforeAll(async () => {
  model = await LlavaOneVision.load(await checkpointFiles(TINY), { device: await sharedDevice() });
  LanguageModel = promptAPI(model);
  image = new Blob([(await readFixture(`${TINY}/examples/00-shapes.png`)) as Uint8Array<ArrayBuffer>]);
});
afterAll(() => model?.dispose());

const QUESTION = "What do you see?";
const ANSWER = "An orange square at the top left.";
const picture = () => [
  {
    role: "user" as const,
    content: [
      { type: "image" as const, value: image },
      { type: "text" as const, value: QUESTION },
    ],
  },
];

test("prompts with a picture, streams, and goes on with the conversation", async () => {
  const session = await LanguageModel.create();
  expect(await session.prompt(picture())).toBe(ANSWER);
  expect(session.inputUsage).toBeGreaterThan(100);
  expect(session.inputQuota).toBe(session.contextWindow);
  const before = session.contextUsage;
  const added = await session.measureInputUsage("And now?");
  let text = "";
  for await (const piece of session.promptStreaming("And now?")) text += piece;
  expect(text).not.toBe("");
  expect(session.contextUsage).toBeGreaterThan(before + added);
  using own = model.createSession();
  const content = [
    { type: "image" as const, image },
    { type: "text" as const, text: QUESTION },
  ];
  await own.generate(content).result;
  expect(text).toBe((await own.generate("And now?", { maxNewTokens: 1024 }).result).text);
  session.destroy();
});

test("appended media and the question about them are one turn; a clone answers on its own", async () => {
  const session = await LanguageModel.create();
  await session.append([{ role: "user", content: [{ type: "image", value: image }] }]);
  const usage = session.inputUsage;
  expect(usage).toBeGreaterThan(100);
  const other = await session.clone();
  expect(await session.prompt(QUESTION)).toBe(ANSWER);
  expect(other.inputUsage).toBe(usage);
  session.destroy();
  expect(await other.prompt(QUESTION)).toBe(ANSWER);
  other.destroy();
});

test("constraints: a schema, an object of zod and an expression", async () => {
  const session = await LanguageModel.create({ initialPrompts: [{ role: "system", content: "Answer in JSON." }] });
  const schema = z.object({ n: z.enum(["one", "two"]) });
  const json = await session.prompt(QUESTION, { responseConstraint: schema.toJSONSchema() });
  expect(schema.parse(JSON.parse(json))).toBeDefined();
  expect(schema.parse(JSON.parse(await session.prompt(QUESTION, { responseConstraint: schema })))).toBeDefined();
  expect(["Yes", "No"]).toContain(await session.prompt("Well?", { responseConstraint: /Yes|No/ }));
  await expect(session.prompt("Well?", { responseConstraint: /yes/i })).rejects.toMatchObject({ name: "SyntaxError" });
  session.destroy();
});

test("loads at the first create, tells of progress, and tries again after a failure", async () => {
  let loads = 0;
  const Lazy = promptAPI(async ({ onProgress }) => {
    onProgress(0.5);
    if (loads++ === 0) throw new Error("no network");
    return model;
  });
  expect(await Lazy.availability()).toBe("downloadable");
  await expect(Lazy.create()).rejects.toThrow("no network");
  const seen: number[] = [];
  const creating = Lazy.create({
    monitor: (target) =>
      target.addEventListener("downloadprogress", (event) => seen.push((event as ProgressEvent).loaded)),
  });
  const session = await creating;
  expect(seen).toEqual([0, 0.5, 1]);
  expect(await Lazy.availability()).toBe("available");
  expect(session).toBeInstanceOf(Lazy);
  session.destroy();
});

test("availability and params say what there is, and create refuses the rest", async () => {
  expect(
    await LanguageModel.availability({ expectedInputs: [{ type: "image" }], expectedOutputs: [{ type: "text" }] }),
  ).toBe("available");
  expect(await LanguageModel.availability({ expectedInputs: [{ type: "audio" }] })).toBe("unavailable");
  const { maxTemperature, maxTopK } = await LanguageModel.params();
  const refused = async (options: object, name: string) =>
    expect(LanguageModel.create(options)).rejects.toMatchObject({ name });
  await refused({ expectedInputs: [{ type: "audio" }] }, "NotSupportedError");
  await refused({ temperature: 1 }, "NotSupportedError");
  await refused({ temperature: maxTemperature + 1, topK: 1 }, "RangeError");
  await refused({ temperature: 1, topK: maxTopK + 1 }, "RangeError");
  await refused({ initialPrompts: [{ role: "robot", content: "x" }] }, "TypeError");
  const sampled = await LanguageModel.create({ temperature: 1, topK: 4 });
  expect([sampled.temperature, sampled.topK]).toEqual([1, 4]);
  expect(await sampled.prompt(picture())).not.toBe("");
  await expect(
    sampled.prompt([{ role: "user", content: [{ type: "audio", value: image } as never] }]),
  ).rejects.toMatchObject({ name: "NotSupportedError" });
  await expect(sampled.prompt([{ role: "assistant", content: "Well", prefix: true }])).rejects.toMatchObject({
    name: "NotSupportedError",
  });
  sampled.destroy();
});

test("aborts and destroys with the errors that pages expect; calls take turns", async () => {
  const session = await LanguageModel.create();
  const abort = new AbortController();
  const running = session.prompt(picture(), { signal: abort.signal });
  const next = session.prompt(picture());
  abort.abort();
  await expect(running).rejects.toMatchObject({ name: "AbortError" });
  expect(await next).toBe(ANSWER);
  const last = session.prompt("And?");
  session.destroy();
  await expect(last).rejects.toMatchObject({ name: "AbortError" });
  await expect(session.prompt("And?")).rejects.toMatchObject({ name: "InvalidStateError" });
  await expect(LanguageModel.create({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
});

test("drops the oldest turns when the context is full, and refuses what never fits", async () => {
  // A token a character, and answers of two.
  const asked: string[][] = [];
  const countOf = (messages: readonly ChatMessage[]) =>
    messages.map(({ content }) => content as string).join("").length;
  const counting = {
    createSession: () => ({
      measure: async (messages: readonly ChatMessage[]) => ({ promptTokens: countOf(messages), contextTokens: 100 }),
      generate: (messages: readonly ChatMessage[]) => {
        asked.push(messages.map(({ content }) => (content as string).slice(0, 1)));
        const result = Promise.resolve({ text: "ok", usage: { totalTokens: countOf(messages) + 2 } });
        return { result, stop: () => {}, async *[Symbol.asyncIterator]() {} };
      },
      dispose: () => {},
      [Symbol.dispose]: () => {},
    }),
  } as unknown as ChatModel;
  const session = await promptAPI(counting).create({ initialPrompts: [{ role: "system", content: "s".repeat(10) }] });
  let overflows = 0;
  session.onquotaoverflow = () => overflows++;
  session.addEventListener("contextoverflow", () => overflows++);
  for (const letter of ["a", "b", "c"]) await session.prompt(letter.repeat(35));
  expect(asked).toEqual([
    ["s", "a"],
    ["s", "a", "o", "b"],
    ["s", "b", "o", "c"],
  ]);
  expect([overflows, session.contextUsage]).toEqual([2, 84]);
  await expect(session.prompt("d".repeat(90))).rejects.toMatchObject({
    name: "QuotaExceededError",
    quota: 100,
    requested: 100,
  });
  expect(session.contextUsage).toBe(84);
});
