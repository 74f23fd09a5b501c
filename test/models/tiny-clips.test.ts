import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ContextOverflowError,
  MediaError,
  type OcellusError,
  OptionError,
  PromptError,
} from "../../src/base/errors.js";
import type { Picture } from "../../src/io/pictures/image.js";
import { readFrames } from "../../src/io/video/video.js";
import type { ChatMessage, ImageContent, VideoContent } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { checkGivenBack, sharedDevice } from "../support/device.js";
import { answerOf, exampleFile, exampleOf, examples, messagesOf } from "../support/examples.js";
import { readFixture } from "../support/fixture.js";

// Clips through the whole model: the bundled ones answered as the reference does, and every way to choose their frames.

const clips = examples.filter(({ video }) => video);
const bytes = await exampleFile("12-clip.mp4");
const { question, reference_tokens: answer } = exampleOf("12-clip.mp4").turns[0]!;

let model: LlavaOneVision;
beforeAll(async () => {
  model = await LlavaOneVision.load(await checkpointFiles(TINY), { device: await sharedDevice() });
});
afterAll(async () => {
  model.dispose();
  expect(model.device.pool.reservedBytes).toBe(0);
  await checkGivenBack(model.device);
});

const about = (...media: (VideoContent | ImageContent)[]): ChatMessage[] => [
  { role: "user", content: [...media, { type: "text", text: question }] },
];
const clip = (more: Partial<VideoContent> = {}): VideoContent => ({ type: "video", video: bytes, ...more });

/** Frames that a part takes, by the visual tokens they become: 25 each, and one for the clip. */
async function framesOf(part: VideoContent): Promise<number> {
  const { media } = await model.internals.processor.prepare(about(part));
  expect((media[0]!.tokens - 1) % 25).toBe(0);
  expect(media[0]!.tileCount).toBe((media[0]!.tokens - 1) / 25);
  return media[0]!.tileCount;
}

test.each(clips.map((example) => ({ ...example, name: example.files.join(", ") })))("$name", async (example) => {
  expect(example.turns.length).toBeGreaterThan(0);
  for (const turn of example.turns) {
    const session = model.createSession();
    const result = await session.generate(await messagesOf(example, turn)).result;
    session.dispose();
    expect(result.usage.promptTokens, turn.question).toBe(turn.prompt_length);
    const [clips, frames] = [example.files.length, example.frames!];
    expect(result.usage).toMatchObject({ tiles: clips * frames, visualTokens: clips * (frames * 25 + 1) });
    expect(result.tokens, turn.question).toEqual(turn.reference_tokens);
    expect(result.text).toBe(turn.reference_answer);
  }
});

describe("frames", () => {
  test("in every form: file, decoded pictures, an iterable", async () => {
    const pictures: Picture[] = [];
    for await (const { picture } of readFrames(bytes, { frames: 8 })) pictures.push(picture);
    async function* stream() {
      yield* pictures;
    }
    for (const part of [
      clip({ frames: 8 }),
      { type: "video" as const, frames: pictures },
      { type: "video" as const, video: pictures },
      { type: "video" as const, video: stream() },
      { type: "video" as const, video: new Blob([new Uint8Array(bytes)]) },
    ]) {
      expect(await answerOf(model, about(part))).toEqual(answer);
    }
  });

  test("by number, rate and span", async () => {
    // Eight frames; sixteen are asked for where nothing is said, and no more taken than there are.
    const times: number[] = [];
    for await (const { timestampSeconds } of readFrames(bytes, { frames: 8 })) times.push(timestampSeconds!);
    expect(times).toHaveLength(8);
    const step = times[1]! - times[0]!;
    expect(await framesOf(clip())).toBe(8);
    expect(await framesOf(clip({ frames: 100 }))).toBe(8);
    expect(await framesOf(clip({ frames: 1 }))).toBe(1);
    expect(await framesOf(clip({ frames: 3 }))).toBe(3);
    expect(await framesOf(clip({ fps: 1 / step }))).toBe(8);
    expect(await framesOf(clip({ fps: 0.5 / step }))).toBe(4);
    expect(await framesOf(clip({ fps: 1e6 }))).toBe(8);
    expect(await framesOf(clip({ fps: 1e-6 }))).toBe(1);
    expect(await framesOf(clip({ start: times[2]! }))).toBe(6);
    expect(await framesOf(clip({ end: times[2]! }))).toBe(3);
    expect(await framesOf(clip({ start: times[2]!, end: times[5]!, frames: 2 }))).toBe(2);
    expect(await framesOf({ type: "video", frames: [picture(1), picture(2), picture(3)] })).toBe(3);
    expect(await framesOf({ type: "video", video: [picture(1), picture(2), picture(3)], frames: 2 })).toBe(2);
  });

  test("clips and pictures in one question", async () => {
    const image: ImageContent = { type: "image", image: await exampleFile("00-shapes.png") };
    const prepared = await model.internals.processor.prepare(about(clip({ frames: 2 }), image, clip({ frames: 3 })));
    // This template puts pictures before clips.
    expect(prepared.media.map(({ kind, tileCount }) => [kind, tileCount])).toEqual([
      ["image", 2],
      ["video", 2],
      ["video", 3],
    ]);
    expect(prepared.text).toContain("<image><video><video>\n");
    const tokens = await answerOf(model, about(clip({ frames: 2 }), image, clip({ frames: 3 })), { maxNewTokens: 20 });
    expect(tokens.length).toBeGreaterThan(0);
  });
});

describe("what is refused, each with the next question answered", () => {
  const name = (path: string) => readFixture(`media/videos/${path}`);
  const frames = [picture(1), picture(2)];
  const cases: [string, typeof OcellusError | typeof MediaError, () => VideoContent | Promise<VideoContent>][] = [
    ["a number and a rate", OptionError, () => clip({ frames: 4, fps: 2 })],
    ["a file and pictures", PromptError, () => clip({ frames })],
    ["pictures and a rate", OptionError, () => ({ type: "video", frames, fps: 2 })],
    ["pictures and a span", OptionError, () => ({ type: "video", frames, start: 1 })],
    ["no frame", OptionError, () => clip({ frames: 0 })],
    ["half a frame", OptionError, () => clip({ frames: 2.5 })],
    ["a number in words", PromptError, () => clip({ frames: "8" as unknown as number })],
    ["a rate of 0", OptionError, () => clip({ fps: 0 })],
    ["an end before the start", OptionError, () => clip({ start: 2, end: 1 })],
    ["a start after the clip", OptionError, () => clip({ start: 1000 })],
    ["an end before the clip", OptionError, () => clip({ end: -1 })],
    ["an unknown field", OptionError, () => clip({ startSeconds: 1 } as object)],
    ["nothing", PromptError, () => ({ type: "video" })],
    ["no pictures", OptionError, () => ({ type: "video", frames: [] })],
    ["a null", MediaError, () => ({ type: "video", video: null as unknown as Uint8Array })],
    ["text", MediaError, async () => clip({ video: await name("not_a_video.mp4") })],
    ["sound alone", MediaError, async () => clip({ video: await name("audio_only.mp4") })],
    ["a file without its index", MediaError, async () => clip({ video: await name("truncated_no_index.mp4") })],
    ["a file cut in its media", MediaError, () => clip({ video: bytes.slice(0, bytes.length - 300) })],
    ["a broken picture among frames", MediaError, () => ({ type: "video", frames: [picture(1), bytes] })],
  ];

  test.each(cases)("%s", async (_, kind, make) => {
    const session = model.createSession();
    const live = model.device.pool.liveBytes;
    const error = await session.generate(about(await make())).result.catch((e: unknown) => e);
    expect(error).toBeInstanceOf(kind);
    expect((error as OcellusError).message).toMatch(/^.+: expected .+, got .+ — .+/s);
    expect(model.device.pool.liveBytes).toBe(live);
    // Nothing that a session keeps is spoilt.
    const { tokens } = await session.generate([{ role: "user", content: "Hello!" }], { maxNewTokens: 2 }).result;
    expect(tokens).toHaveLength(2);
    session.dispose();
  });

  test("more frames than the context holds", async () => {
    const many = Array.from({ length: 200 }, (_, i) => picture(i));
    const error = await answerOf(model, about({ type: "video", frames: many })).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ContextOverflowError);
    expect((error as ContextOverflowError).message).toMatch(/use at most 16\d frames in all/);
    expect(await answerOf(model, about(clip()))).toEqual(answer);
  });
});

/** A small picture of one level. */
function picture(level: number) {
  return { data: new Uint8Array(4 * 4 * 3).fill(level), width: 4, height: 4 };
}
