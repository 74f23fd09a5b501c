import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import {
  AbortedError,
  CheckpointError,
  ContextOverflowError,
  DisposedError,
  MediaError,
  OptionError,
} from "../../../src/base/errors.js";
import type { NamedBlob } from "../../../src/io/checkpoint/checkpoint.js";
import type { GenerateOptions } from "../../../src/models/chat/generate-options.js";
import type { ChatMessage } from "../../../src/models/llava-onevision/processor.js";
import { LlavaOneVision, type LoadOptions } from "../../../src/models/llava-onevision.js";
import type { Device } from "../../../src/runtime/device.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { sharedDevice } from "../../support/device.js";
import { readFixture } from "../../support/fixture.js";

// What a model and its sessions take on the device, and that they give it back whatever happens.

const files = await checkpointFiles(TINY);
const picture = await readFixture(`${TINY}/examples/00-shapes.png`);
const question: ChatMessage[] = [
  {
    role: "user",
    content: [
      { type: "image", image: picture },
      { type: "text", text: "What do you see?" },
    ],
  },
];
/** The same with another beginning. */
const instructed: ChatMessage[] = [{ role: "system", content: "Be brief." }, ...question];
/** Both fit the same step of the cache. */
const SHORT = { maxNewTokens: 24 };
const ANSWER = "An orange square at the top left.";

/** An abort that comes after `after` calls of a progress callback. */
function abortAfter(after: number): { signal: AbortSignal; count: () => void } {
  const controller = new AbortController();
  let calls = 0;
  return {
    signal: controller.signal,
    count: () => {
      if (++calls >= after) controller.abort();
    },
  };
}

describe("loading", () => {
  let device: Device;
  beforeAll(async () => {
    device = await sharedDevice();
  });
  afterEach(() => {
    expect(device.pool.liveBytes).toBe(0);
    expect(device.pool.reservedBytes).toBe(0);
  });

  const load = (from: NamedBlob[] = files, options: LoadOptions = {}) =>
    LlavaOneVision.load(from, { device, ...options });

  test("two models on one device, disposed one after the other", async () => {
    const first = await load();
    const one = device.pool.liveBytes;
    expect(one).toBeGreaterThan(7e6);
    const second = await load();
    const both = device.pool.liveBytes;
    expect(both).toBeGreaterThanOrEqual(2 * one);
    first.dispose();
    expect(device.pool.liveBytes).toBe(both - one);
    expect((await second.createSession().generate(question).result).text).toBe(ANSWER);
    second.dispose();
    second.dispose();
  });

  test("an abort before and while weights are read", async () => {
    const fired = AbortSignal.abort();
    await expect(load(files, { signal: fired })).rejects.toThrow(AbortedError);
    for (const after of [1, 40]) {
      const { signal, count } = abortAfter(after);
      await expect(load(files, { signal, onProgress: count })).rejects.toMatchObject({ name: "AbortError" });
      expect(device.pool.liveBytes).toBe(0);
    }
    const model = await load();
    expect((await model.createSession().generate(question).result).text).toBe(ANSWER);
    model.dispose();
  });

  test("progress ends at the whole", async () => {
    const seen: number[] = [];
    let total = 0;
    const model = await load(files, {
      onProgress: ({ loadedBytes, totalBytes }) => {
        seen.push(loadedBytes);
        total = totalBytes;
      },
    });
    model.dispose();
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(total);
  });

  test("an unknown option, a missing file and a callback that throws", async () => {
    await expect(load(files, { onprogress: () => {} } as LoadOptions)).rejects.toThrow(/did you mean `onProgress`/);
    const without = files.filter(({ name }) => name !== "tokenizer.json");
    await expect(load(without)).rejects.toThrow(CheckpointError);
    const onProgress = () => {
      throw new RangeError("from the caller");
    };
    await expect(load(files, { onProgress })).rejects.toThrow("from the caller");
  });
});

describe("answers", () => {
  let device: Device;
  let model: LlavaOneVision;
  let weights: number;
  beforeAll(async () => {
    device = await sharedDevice();
    model = await LlavaOneVision.load(files, { device, prefixCacheBytes: 0 });
    weights = device.pool.liveBytes;
  });
  afterAll(() => {
    model.dispose();
    expect(device.pool.liveBytes).toBe(0);
    expect(device.pool.reservedBytes).toBe(0);
  });
  afterEach(() => expect(device.pool.liveBytes).toBe(weights));

  const answer = async (options: GenerateOptions = {}): Promise<string> => {
    const session = model.createSession();
    try {
      return (await session.generate(question, options).result).text;
    } finally {
      session.dispose();
    }
  };

  test("five answers take what one took", async () => {
    const session = model.createSession();
    expect((await session.generate(question, SHORT).result).text).toBe(ANSWER);
    const [bytes, blocks] = [device.pool.liveBytes, device.pool.liveBlocks];
    let reserved = 0;
    for (let i = 1; i < 3; i++) {
      // Without a common beginning nothing comes from the cache: the picture is seen anew each time.
      const { usage } = await session.generate(instructed, SHORT).result;
      expect(usage.reusedTokens).toBeLessThan(4);
      expect((await session.generate(question, SHORT).result).text).toBe(ANSWER);
      reserved ||= device.pool.reservedBytes;
    }
    expect([device.pool.liveBytes, device.pool.liveBlocks]).toEqual([bytes, blocks]);
    expect(device.pool.reservedBytes).toBe(reserved);
    session.dispose();
  });

  test.each(["vision", "prefill", "decode"] as const)("an abort during %s", async (stage) => {
    const controller = new AbortController();
    const session = model.createSession();
    const stages: string[] = [];
    // The prompt passes through the decoder in chunks, of which not all are computed.
    const rows = vi.spyOn(model.internals.network, "rowsPerChunk", "get").mockReturnValue(100);
    const options: GenerateOptions = {
      signal: controller.signal,
      onProgress: (progress) => {
        stages.push(progress.stage);
        if (progress.stage === stage) controller.abort();
      },
    };
    await expect(session.generate(question, options).result).rejects.toThrow(AbortedError);
    rows.mockRestore();
    expect(stages.at(-1)).toBe(stage);
    // The cache stays with the session; it belongs to the next answer.
    expect((await session.generate(question).result).text).toBe(ANSWER);
    session.dispose();
    expect(await answer()).toBe(ANSWER);
  });

  test("an abort before the call and between the pieces", async () => {
    await expect(answer({ signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
    const controller = new AbortController();
    const session = model.createSession();
    const streamed: string[] = [];
    const iterate = async () => {
      for await (const piece of session.generate(question, { signal: controller.signal })) {
        streamed.push(piece.text);
        if (streamed.length === 2) controller.abort();
      }
    };
    await expect(iterate()).rejects.toThrow(AbortedError);
    expect(ANSWER.startsWith(streamed.join(""))).toBe(true);
    expect((await session.generate(question).result).text).toBe(ANSWER);
    session.dispose();
  });

  test("callbacks that throw end the answer with their error", async () => {
    const fault = () => {
      throw new RangeError("from the caller");
    };
    await expect(answer({ onProgress: fault })).rejects.toThrow("from the caller");
    await expect(answer({ onTaps: fault })).rejects.toThrow("from the caller");
    expect(device.tap).toBeUndefined();
    expect(await answer()).toBe(ANSWER);
  });

  test("a broken picture and a prompt over the context", async () => {
    const session = model.createSession();
    const broken: ChatMessage[] = [
      { role: "user", content: [{ type: "image", image: picture.subarray(0, picture.length >> 1) }] },
    ];
    await expect(session.generate(broken).result).rejects.toThrow(MediaError);
    const over = session.generate(question, { maxNewTokens: 5000 }).result;
    await expect(over).rejects.toThrow(ContextOverflowError);
    await expect(over).rejects.toMatchObject({ requestedTokens: 5186, availableTokens: 4096 });
    expect((await session.generate(question).result).text).toBe(ANSWER);
    session.dispose();
  });

  test("one answer at a time, and options are checked at once", async () => {
    const session = model.createSession();
    expect(() => session.generate(question, { maxTokens: 3 } as GenerateOptions)).toThrow(/maxNewTokens/);
    for (const maxNewTokens of [0, -1, 1.5, Number.NaN]) {
      expect(() => session.generate(question, { maxNewTokens })).toThrow(OptionError);
    }
    const running = session.generate(question);
    expect(() => session.generate(question)).toThrow(OptionError);
    expect((await running.result).text).toBe(ANSWER);
    session.dispose();
  });

  test("an answer can be iterated late, twice and by two readers", async () => {
    const session = model.createSession();
    const read = async (pieces: AsyncIterable<{ text: string }>) => {
      let text = "";
      for await (const piece of pieces) text += piece.text;
      return text;
    };
    const running = session.generate(question);
    expect(await Promise.all([read(running), read(running)])).toEqual([ANSWER, ANSWER]);
    expect(await read(running)).toBe(ANSWER);
    session.dispose();
  });

  test("two sessions answer at the same time", async () => {
    expect(await Promise.all([answer(), answer()])).toEqual([ANSWER, ANSWER]);
  });
});

test.each(["vision", "prefill", "decode"] as const)(
  "a session that is disposed at %s leaves the answers of others as they are, and all blocks",
  async (stage) => {
    const model = await LlavaOneVision.load(files, { device: await sharedDevice(), visionCacheBytes: 0 });
    using other = model.createSession();
    const expected = (await other.generate(question, SHORT).result).tokens;
    model.internals.prefixCache.forget();
    other.reset();
    const { usedBlocks } = model.internals.kvPool;
    const left = model.createSession();
    const onProgress: GenerateOptions["onProgress"] = (progress) => {
      if (progress.stage === stage) left.dispose();
    };
    const [ended, answered] = await Promise.allSettled([
      left.generate(instructed, { ...SHORT, onProgress }).result,
      other.generate(question, SHORT).result,
    ]);
    expect(ended.status === "rejected" && ended.reason).toBeInstanceOf(DisposedError);
    expect(answered.status === "fulfilled" && answered.value.tokens).toEqual(expected);
    model.internals.prefixCache.forget();
    expect(model.internals.kvPool.usedBlocks).toBe(usedBlocks);
    model.dispose();
  },
);

test("what is disposed refuses to work", async () => {
  const model = await LlavaOneVision.load(files);
  const session = model.createSession();
  const other = model.createSession();
  session.dispose();
  session.dispose();
  expect(() => session.generate(question)).toThrow(DisposedError);
  const running = other.generate(question);
  model.dispose();
  await expect(running.result).rejects.toThrow(DisposedError);
  expect(() => other.generate(question)).toThrow(DisposedError);
  expect(() => model.createSession()).toThrow(DisposedError);
  expect(model.device.pool.reservedBytes).toBe(0);
});
