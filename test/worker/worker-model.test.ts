import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  AbortedError,
  CheckpointError,
  ContextOverflowError,
  DisposedError,
  MediaError,
} from "../../src/base/errors.js";
import type { AnswerPiece } from "../../src/models/chat/answer.js";
import type { GenerateOptions } from "../../src/models/chat/generate-options.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { WorkerModel } from "../../src/worker/index.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { expectClose } from "../support/compare.js";
import { exampleOf, messagesOf } from "../support/examples.js";
import { ANSWER, ask, picture, question, read } from "../support/square.js";
import { startWorker, type TestWorker } from "../support/worker.js";

// A model in a real worker: a worker thread of Node, and a module worker of Chromium. test/worker/worker-session.test.ts has what is the
// same in both.

const files = await checkpointFiles(TINY);

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
