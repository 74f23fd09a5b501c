import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createOcellus } from "../../src/ai/index.js";
import {
  AbortedError,
  CheckpointError,
  ContextOverflowError,
  DisposedError,
  MediaError,
  OptionError,
  PromptError,
} from "../../src/base/errors.js";
import type { AnswerPiece } from "../../src/models/chat/answer.js";
import type { GenerateOptions } from "../../src/models/chat/generate-options.js";
import type { ChatMessage, ImageContent, TextContent } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { promptAPI } from "../../src/prompt-api/index.js";
import { WorkerModel } from "../../src/worker/index.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { expectClose } from "../support/compare.js";
import { exampleFile, exampleOf, messagesOf } from "../support/examples.js";
import { startWorker, type TestWorker } from "../support/worker.js";

// A model in a real worker: a worker thread of Node, and a module worker of Chromium.

const files = await checkpointFiles(TINY);
const picture = await exampleFile("00-shapes.png");
const image: ImageContent = { type: "image", image: picture };
const ask: TextContent = { type: "text", text: "What do you see?" };
const question: ChatMessage[] = [{ role: "user", content: [image, ask] }];
const ANSWER = "An orange square at the top left.";

async function read(pieces: AsyncIterable<AnswerPiece>): Promise<string> {
  let text = "";
  for await (const piece of pieces) text += piece.text;
  return text;
}

describe("a model in a worker", () => {
  let worker: TestWorker;
  let model: WorkerModel;
  let loaded: number;
  const loading: number[] = [];
  beforeAll(async () => {
    worker = await startWorker();
    model = await WorkerModel.load(worker.end, files, {
      onProgress: ({ loadedBytes, totalBytes }) => loading.push(loadedBytes / totalBytes),
    });
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

  test("loading reports progress to the whole, in order", () => {
    expect(loading.length).toBeGreaterThan(10);
    expect(loading).toEqual([...loading].sort((a, b) => a - b));
    expect(loading.at(-1)).toBe(1);
    expect(loaded).toBeGreaterThan(7e6);
  });

  test.each(["00-shapes.png", "09-pair-1.png"])("answers as the reference does: %s", async (file) => {
    const example = exampleOf(file);
    const turn = example.turns[0]!;
    using session = model.createSession();
    const answer = session.generate(await messagesOf(example, turn));
    const { text, tokens, usage, finishReason } = await answer.result;
    expect(tokens).toEqual(turn.reference_tokens);
    expect(finishReason).toBe("stop");
    expect(usage.completionTokens).toBe(tokens.length);
    expect(await read(answer)).toBe(text);
  });

  test("pieces come one by one, in order, with their tokens", async () => {
    using session = model.createSession();
    const answer = session.generate(question, { logprobs: true, topLogprobs: 2 });
    const pieces: AnswerPiece[] = [];
    for await (const piece of answer) pieces.push(piece);
    const { tokens, logprobs } = await answer.result;
    expect(pieces.map(({ text }) => text).join("")).toBe(ANSWER);
    expect(pieces.flatMap(({ token }) => token ?? [])).toEqual(tokens);
    expect(pieces.flatMap(({ logprob }) => logprob ?? [])).toEqual(logprobs);
    expect(logprobs![0]!.top).toHaveLength(2);
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

  test("an abort in the middle, and what the session is then", async () => {
    using session = model.createSession();
    const reason = new RangeError("enough");
    for (const stage of ["vision", "prefill", "decode"] as const) {
      const controller = new AbortController();
      const options: GenerateOptions = {
        minNewTokens: 60,
        signal: controller.signal,
        onProgress: (progress) => {
          if (progress.stage === stage) controller.abort(reason);
        },
      };
      const error = await session.generate(question, options).result.catch((e: unknown) => e);
      expect(error).toBeInstanceOf(AbortedError);
      expect(error).toMatchObject({ code: "ABORTED", name: "AbortError", cause: reason });
      expect(session.messages).toEqual([]);
    }
    expect((await session.generate(question).result).text).toBe(ANSWER);
    await expect(session.generate(question, { signal: AbortSignal.abort() }).result).rejects.toThrow(AbortedError);
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

  test("vectors of pictures, clips and texts", async () => {
    const stages: string[] = [];
    const seen = await model.embedImage(picture, { of: "tokens", onProgress: ({ stage }) => stages.push(stage) });
    expect(picture.byteLength).toBeGreaterThan(0);
    expect(stages.length).toBeGreaterThan(0);
    const direct = await LlavaOneVision.load(files);
    try {
      const { rows, shape } = await direct.embedImage(picture, { of: "tokens" });
      expect(seen.shape).toEqual(shape);
      expectClose(seen.rows, rows, "tap", "tokens");
      const texts = ["a red circle", "a blue square"];
      const vectors = await direct.embedText(texts);
      for (const [i, vector] of (await model.embedText(texts)).entries())
        expectClose(vector, vectors[i]!, "tap", "text");
      const last = { pooling: "last" } as const;
      expectClose(await model.embedText("one", last), await direct.embedText("one", last), "tap", "last");
    } finally {
      direct.dispose();
    }
    const given = picture.slice();
    const clip = await model.embedVideo({ frames: [picture, given] }, { of: "tokens", transfer: [given.buffer] });
    expect(clip.shape).toEqual([2 * 25 + 1, seen.shape[1]]);
    expect(given.byteLength).toBe(0);
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

  test("a buffer is given away where that is asked for, and copied otherwise", async () => {
    using session = model.createSession();
    expect((await session.generate(question).result).text).toBe(ANSWER);
    expect(picture.byteLength).toBeGreaterThan(0);
    const given = picture.slice();
    const part = { type: "image", image: given } as const;
    expect(
      (await session.generate([{ role: "user", content: [part, ask] }], { transfer: [given.buffer] }).result).text,
    ).toBe(ANSWER);
    expect(given.byteLength).toBe(0);
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

  test("errors come as what they are", async () => {
    using session = model.createSession();
    const broken = { type: "image", image: picture.subarray(0, picture.length >> 1) } as const;
    await expect(session.generate([broken, ask]).result).rejects.toThrow(MediaError);
    const over = await session.generate(question, { maxNewTokens: 5000 }).result.catch((e: unknown) => e);
    expect(over).toBeInstanceOf(ContextOverflowError);
    expect(over).toMatchObject({ code: "CONTEXT_OVERFLOW", requestedTokens: 5186, availableTokens: 4096 });
    await expect(read(session.generate([{ type: "image", image: {} as string }]))).rejects.toThrow(MediaError);
    const onProgress = () => {
      throw new RangeError("from the caller");
    };
    await expect(session.generate(question, { onProgress }).result).rejects.toThrow("from the caller");
    expect((await session.generate(question).result).text).toBe(ANSWER);
  });

  test("sessions give their caches back", async () => {
    const before = await worker.bytes();
    const sessions = [model.createSession(), model.createSession()];
    for (const session of sessions) await session.generate(question).result;
    for (const session of sessions) session.dispose();
    expect(() => sessions[0]!.generate(question)).toThrow(DisposedError);
    await expect(sessions[0]!.measure("Hello!")).rejects.toThrow(DisposedError);
    // Blocks stay in the pool for the next session: twice as many would show.
    for (let i = 0; i < 4; i++) {
      using session = model.createSession();
      await session.generate(question).result;
    }
    expect(await worker.bytes()).toBeLessThan(2 * Math.max(before, loaded));
  });
});

describe("loading", () => {
  test("faults and an abort, and then a model on the same worker", async () => {
    const worker = await startWorker();
    const without = files.filter(({ name }) => name !== "tokenizer.json");
    await expect(WorkerModel.load(worker.end, without)).rejects.toThrow(CheckpointError);
    await expect(WorkerModel.load(worker.end, files, { onprogress: () => {} } as object)).rejects.toThrow(
      /did you mean `onProgress`/,
    );
    await expect(WorkerModel.load(worker.end, files, { device: {} } as object)).rejects.toThrow(/device/);
    const signal = AbortSignal.abort();
    await expect(WorkerModel.load(worker.end, files, { signal })).rejects.toThrow(AbortedError);
    const controller = new AbortController();
    const stopped = WorkerModel.load(worker.end, files, {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(stopped).rejects.toThrow(AbortedError);
    await expect.poll(() => worker.bytes()).toBe(0);
    using model = await WorkerModel.load(worker.end, files);
    expect((await model.createSession().measure(question)).tiles).toBe(2);
    worker.terminate();
  });
});

describe("the end", () => {
  const start = async () => {
    const worker = await startWorker();
    const model = await WorkerModel.load(worker.end, files);
    const session = model.createSession();
    const running = session.generate("Hello!", { minNewTokens: 400, maxNewTokens: 400 });
    await running[Symbol.asyncIterator]().next();
    return { worker, model, session, running };
  };

  test("dispose ends what is under way and gives everything back", async () => {
    const { worker, model, session, running } = await start();
    model.dispose();
    model.dispose();
    await expect(running.result).rejects.toThrow(DisposedError);
    expect(() => session.generate(question)).toThrow(DisposedError);
    expect(() => model.createSession()).toThrow(DisposedError);
    session.dispose();
    await expect.poll(() => worker.bytes()).toBe(0);
    worker.terminate();
  });
});
