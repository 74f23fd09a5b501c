import { beforeAll, expect, test } from "vitest";
import type { ImageMode, Processor } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { recordLength } from "../../src/training/record-length.js";
import { prepareSample, type TrainingRecord } from "../../src/training/samples.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";
import { bmp } from "../support/parquet.js";

let processor: Processor;
beforeAll(async () => {
  const device = await sharedDevice({ features: "all" });
  const model = await LlavaOneVision.load(await checkpointFiles("goldens/hf-05b-like"), { device });
  processor = model.internals.processor;
  model.dispose();
});

type Content = TrainingRecord["messages"][number]["content"];
const record = (...content: Extract<Content, readonly unknown[]>): TrainingRecord => ({
  messages: [
    { role: "user", content } as TrainingRecord["messages"][number],
    { role: "assistant", content: "A hinge of brass." },
  ],
});
const text = { type: "text", text: "Which part of the door is this?" } as const;
const picture = (width: number, height: number) => ({ type: "image", image: bmp(width, height) }) as const;

test.each([
  ["a text", record(text), "auto"],
  ["a picture in tiles", record(picture(90, 40), text), "auto"],
  ["a tall picture", record(picture(20, 200), text), "auto"],
  ["a padded picture", record(picture(90, 40), text), "pad"],
  ["two pictures", record(picture(90, 40), picture(10, 10), text), "auto"],
  [
    "pixels",
    record({ type: "image", image: { data: new Uint8Array(90 * 40 * 3), width: 90, height: 40 } }, text),
    "auto",
  ],
  ["frames", record({ type: "video", frames: [bmp(9, 9), bmp(9, 9), bmp(9, 9)] }, text), "auto"],
] as const)("the length of %s is that of the sample, but for the template", async (_, given, imageMode) => {
  const { inputIds } = await prepareSample(processor, given, { imageMode: imageMode as ImageMode });
  const { inputIds: empty } = await prepareSample(processor, record({ ...text, text: "x" }), {});
  const [template, short] = [empty.length, await recordLength(processor, record({ ...text, text: "x" }))];
  const length = await recordLength(processor, given, imageMode as ImageMode);
  // Line feeds and markers around pictures.
  expect(Math.abs(inputIds.length - template - (length - short))).toBeLessThanOrEqual(8);
  expect(length).toBeGreaterThan(short);
});

test("pictures are loaded where they are in a file, and token ids count", async () => {
  const named = record({ type: "image", image: "data.parquet, row 1, picture 1" }, text);
  const whole = record(picture(90, 40), text);
  const load = async () => whole.messages;
  expect(await recordLength(processor, { ...named, load })).toBe(await recordLength(processor, whole));
  const tokens = {
    messages: [{ role: "assistant" as const, content: [{ type: "tokens" as const, tokens: [1, 2, 3] }] }],
  };
  expect(await recordLength(processor, tokens)).toBe(3);
});

test("a picture that can't be read is named with its record", async () => {
  const broken = { ...record({ type: "image", image: new Uint8Array(9) }), where: "a.jsonl, line 2" };
  await expect(recordLength(processor, broken)).rejects.toThrow(/^a\.jsonl, line 2: picture: expected/);
});
