import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AbortedError, DeviceLostError, DisposedError, OptionError } from "../../src/base/errors.js";
import type { GenerateOptions } from "../../src/models/chat/generate-options.js";
import type { Session } from "../../src/models/chat/session.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { readFixture } from "../support/fixture.js";

// A lost device, at every stage: conversation, text, embeddings and attention are those of an undisturbed model.

const files = await checkpointFiles(TINY);
const part = { type: "image", image: await readFixture(`${TINY}/examples/00-shapes.png`) } as const;
const question = [part, { type: "text", text: "What do you see?" }] as const;

/** Every model may lose two devices in a minute. */
const load = () => LlavaOneVision.load(files, { onDeviceLost: "reload" });

type Input = Parameters<Session["generate"]>[0];

/** Asks, and destroys the device at the first progress of a stage that has `done` or more. */
async function askLosing(
  model: LlavaOneVision,
  session: Session,
  input: Input,
  [stage, least]: readonly [string, number],
  options: GenerateOptions = {},
) {
  const stages: string[] = [];
  let losses = 0;
  let streamed = "";
  const answer = session.generate(input, {
    ...options,
    onProgress: (progress) => {
      stages.push(progress.stage);
      if (losses > 0 || progress.stage !== stage || progress.done < least) return;
      losses++;
      model.device.gpu.destroy();
    },
  });
  for await (const { text } of answer) streamed += text;
  const result = await answer.result;
  return { result, streamed, stages };
}

const SHORT = { maxNewTokens: 16, minNewTokens: 12 };
const SAMPLED = { ...SHORT, temperature: 1.3, seed: 7, topP: 0.9, repetitionPenalty: 1.2, frequencyPenalty: 0.4 };
const properties = { colour: { type: "string", maxLength: 12 }, count: { type: "integer" } };
const FORMED = { schema: { type: "object", properties, required: ["colour", "count"] } } as const;

let whole: LlavaOneVision;
beforeAll(async () => {
  whole = await LlavaOneVision.load(files);
});
afterAll(() => whole.dispose());

describe("a running answer continues with the same tokens", () => {
  // Every device compiles its kernels anew, those of the vision tower for seconds.
  test.each<[string, Input, readonly [string, number], GenerateOptions]>([
    ["greedy, lost while a picture is encoded", question, ["vision", 0], SHORT],
    ["greedy, lost while the prompt is read", "What is a star?", ["prefill", 0], SHORT],
    ["sampled with penalties, lost after nine tokens", "What is a star?", ["decode", 9], SAMPLED],
    ["under a schema, lost after seven tokens", "What is a star?", ["decode", 7], FORMED],
    [
      "with a stop sequence and logprobs, lost after three tokens",
      question,
      ["decode", 3],
      { stop: "top", logprobs: true },
    ],
  ])("%s", async (_, input, when, options) => {
    const expected = await whole.createSession().generate(input, options).result;
    const model = await load();
    const lost = model.device;
    const session = model.createSession();
    const { result, streamed, stages } = await askLosing(model, session, input, when, options);
    expect(result.tokens).toEqual(expected.tokens);
    expect([result.text, streamed]).toEqual([expected.text, expected.text]);
    expect([result.finishReason, result.stopString]).toEqual([expected.finishReason, expected.stopString]);
    expect(result.logprobs?.map(({ token }) => token)).toEqual(expected.logprobs?.map(({ token }) => token));
    expect(result.promptTokens).toEqual(expected.promptTokens);
    expect(stages).toContain("reload");
    expect(model.device).not.toBe(lost);
    expect([lost.pool.liveBytes, lost.pool.reservedBytes]).toEqual([0, 0]);
    model.dispose();
    expect(model.device.pool.liveBytes).toBe(0);
  });
});

test.each([
  ["prefill", 0],
  ["decode", 3],
] as const)("a running answer of layers that stream continues, lost at %s %i", async (...when) => {
  const input = "What is a star?";
  const { tokens } = await whole.createSession().generate(input, SHORT).result;
  const model = await LlavaOneVision.load(files, { onDeviceLost: "reload", weights: "stream" });
  const lost = model.device;
  const { result, stages } = await askLosing(model, model.createSession(), input, when, SHORT);
  expect(result.tokens).toEqual(tokens);
  expect(stages).toContain("reload");
  expect(model.internals.network.streams).toBe(true);
  expect([lost.pool.liveBytes, lost.pool.reservedBytes]).toEqual([0, 0]);
  model.dispose();
  expect(model.device.pool.liveBytes).toBe(0);
});

test("sessions, their clones, appended parts, attention maps and embeddings outlive a loss between calls", async () => {
  const run = async (model: LlavaOneVision, between: () => void) => {
    const [first, second] = [model.createSession(), model.createSession()];
    await first.generate(question, SHORT).result;
    await second.append([part]);
    between();
    const fork = first.clone();
    // Together: both wait for one reload.
    const [map, described] = await Promise.all([first.attention(), second.generate("What do you see?", SHORT).result]);
    const { text, usage } = await fork.generate("And where?", SHORT).result;
    between();
    const [words, { embedding }] = await Promise.all([model.embedText("a star"), model.embedImage(part.image)]);
    const weights = map.media.flatMap(({ maps }) => maps.flatMap((own) => [...own.values]));
    return { weights, described: described.text, text, total: usage.totalTokens, words, embedding };
  };
  const expected = await run(whole, () => {});
  const model = await load();
  const devices = new Set<Device>();
  const given = await run(model, () => {
    devices.add(model.device);
    model.device.gpu.destroy();
  });
  expect(devices.size).toBe(2);
  expect([given.described, given.text, given.total]).toEqual([expected.described, expected.text, expected.total]);
  for (const name of ["weights", "words", "embedding"] as const) {
    expect(given[name].length).toBe(expected[name].length);
    for (const [i, value] of given[name].entries()) expect(value).toBeCloseTo(expected[name][i]!, 4);
  }
  // The third loss in a minute is the caller's; the conversation is not changed by it.
  const session = model.createSession();
  await session.generate("Hello!", SHORT).result;
  const before = session.messages;
  model.device.gpu.destroy();
  await expect(session.generate("Again.").result).rejects.toThrow(/fewer than 3 losses in 60 seconds, got 3/);
  await expect(model.embedText("a star")).rejects.toThrow(DeviceLostError);
  expect(session.messages).toBe(before);
  // Unless it asks for it; calls that come together share one load.
  await Promise.all([model.reload(), model.reload()]);
  expect((await session.generate("Again.", SHORT).result).tokens.length).toBeGreaterThan(0);
  model.dispose();
});

test("the calls that wait for a reload can be aborted, stopped and disposed", async () => {
  const model = await load();
  const sessions = Array.from({ length: 3 }, () => model.createSession());
  model.device.gpu.destroy();
  const controller = new AbortController();
  const reloading: (() => void)[] = [];
  const answers = sessions.map((session, i) =>
    session.generate("Hello!", {
      signal: controller.signal,
      onProgress: ({ stage }) => {
        if (stage !== "reload") return;
        if (i === 0) controller.abort();
        reloading.push(() => {});
      },
    }),
  );
  for (const { result } of answers) await expect(result).rejects.toThrow(AbortedError);
  expect(reloading.length).toBeGreaterThan(0);
  const stopped = sessions[0]!.generate("Hello!", {
    onProgress: ({ stage }) => stage === "reload" && stopped.stop(),
  });
  expect((await stopped.result).text.length).toBeGreaterThanOrEqual(0);
  model.device.gpu.destroy();
  const disposing = sessions[1]!.generate("Hello!", {
    onProgress: ({ stage }) => stage === "reload" && model.dispose(),
  });
  await expect(disposing.result).rejects.toThrow(DisposedError);
  expect(model.device.pool.liveBytes).toBe(0);
});

test("loading survives a loss, and without the option a loss is an error until reload is called", async () => {
  let destroyed: Device | undefined;
  const open = Device.open;
  Device.open = async (options) => {
    const device = await open.call(Device, options);
    destroyed ??= device;
    return device;
  };
  const onProgress = () => destroyed?.gpu.destroy();
  try {
    await expect(LlavaOneVision.load(files, { onProgress })).rejects.toThrow(DeviceLostError);
    destroyed = undefined;
    const model = await LlavaOneVision.load(files, { onProgress, onDeviceLost: "reload" });
    expect(model.device).not.toBe(destroyed);
    expect(destroyed!.pool.liveBytes).toBe(0);
    model.dispose();
  } finally {
    Device.open = open;
  }
  const model = await LlavaOneVision.load(files);
  const session = model.createSession();
  const { text } = await session.generate(question, SHORT).result;
  model.device.gpu.destroy();
  await model.device.gpu.lost;
  await expect(session.generate(question, SHORT).result).rejects.toThrow(DeviceLostError);
  expect(() => session.clone()).toThrow(DeviceLostError);
  await expect(model.embedText("a star")).rejects.toThrow(DeviceLostError);
  const shares: number[] = [];
  await model.reload({ onProgress: ({ loadedBytes, totalBytes }) => shares.push(loadedBytes / totalBytes) });
  expect(shares.at(-1)).toBe(1);
  session.reset();
  expect((await session.generate(question, SHORT).result).text).toBe(text);
  // A device that works is replaced too; a running answer finds it lost.
  const running = session.generate(question, {
    ...SHORT,
    onProgress: ({ stage }) => stage === "prefill" && void again(),
  });
  let reloaded: Promise<void> | undefined;
  const again = () => {
    reloaded ??= model.reload();
  };
  await expect(running.result).rejects.toThrow(DeviceLostError);
  await reloaded;
  expect((await session.generate(question, SHORT).result).text).not.toBe("");
  model.dispose();
  await expect(model.reload()).rejects.toThrow(DisposedError);
});

test("a model on a given device takes the next one from its program too", async () => {
  const device = await Device.open();
  await expect(LlavaOneVision.load(files, { device, onDeviceLost: "reload" })).rejects.toThrow(/beside a device/);
  await expect(LlavaOneVision.load(files, { onDeviceLost: "again" as "fail" })).rejects.toThrow(OptionError);
  const model = await LlavaOneVision.load(files, { device });
  await expect(model.reload()).rejects.toThrow(/pass Device.from/);
  const session = model.createSession();
  const { text } = await session.generate(question, SHORT).result;
  device.gpu.destroy();
  const next = await Device.open();
  await model.reload({ device: next });
  expect(model.device).toBe(next);
  session.reset();
  expect((await session.generate(question, SHORT).result).text).toBe(text);
  model.dispose();
  expect([device.pool.liveBytes, next.pool.liveBytes]).toEqual([0, 0]);
  device.dispose();
  next.dispose();
});
