import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MediaError } from "../../../src/base/errors.js";
import { copiedInput, copiedPart, ownPart } from "../../../src/models/chat/cached-media.js";
import type { SessionInput } from "../../../src/models/chat/conversation.js";
import type { ImageContent } from "../../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import type { Device } from "../../../src/runtime/device.js";
import { byteForms } from "../../support/byte-forms.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { sharedDevice } from "../../support/device.js";
import { exampleFile } from "../../support/examples.js";

// A conversation keeps what it was given, whatever the program does with its buffers afterwards.

const square = await exampleFile("00-shapes.png");
const clip = await exampleFile("12-clip.mp4");
const WHERE = "session.generate";

test("what has no bytes stays the same object", () => {
  const parts = [
    { type: "text", text: "Hi" },
    { type: "image", image: "a.png" },
    { type: "video", video: new Blob(["clip"]) },
    { type: "video", frames: 4 },
    { type: "image", image: { data: new Float32Array(12), width: 2, height: 2 } },
    7,
    null,
  ];
  for (const part of parts) expect(copiedPart(part, WHERE)).toBe(part);
  expect(copiedInput("words", WHERE)).toBe("words");
});

test("bytes, pixels and frames are copied once, in parts and in messages", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  const pixels = { data: new Uint8ClampedArray(4), width: 1, height: 1 };
  const parts = [
    { type: "image", image: bytes },
    { type: "image", image: pixels },
    { type: "video", frames: [bytes, "b.png"] },
  ];
  const messages = [{ role: "user", content: parts }];
  for (const kept of [
    copiedInput(parts as SessionInput, WHERE),
    (copiedInput(messages as SessionInput, WHERE) as typeof messages)[0]!.content,
  ]) {
    expect(kept).toEqual([
      { type: "image", image: bytes },
      { type: "image", image: { data: new Uint8Array(4), width: 1, height: 1 } },
      { type: "video", frames: [bytes, "b.png"] },
    ]);
    const [first] = kept as unknown as [ImageContent];
    expect(first.image).not.toBe(bytes);
    expect(copiedPart(first, WHERE)).toBe(first);
  }
  const own = ownPart({ type: "image", image: bytes });
  expect(copiedPart(own, WHERE)).toBe(own);
});

describe("with a model", () => {
  let model: LlavaOneVision;
  beforeAll(async () => {
    model = await LlavaOneVision.load(await checkpointFiles(TINY), { device: await sharedDevice() });
  });
  afterAll(() => model.dispose());

  test("the second question is about the picture and the clip that were given, not about what their buffers hold now", async () => {
    const answers: string[] = [];
    for (const reused of [false, true]) {
      const session = model.createSession();
      const [picture, frames] = [new Uint8Array(square), new Uint8Array(clip)];
      const coming = session.generate(
        [
          { type: "image", image: picture },
          { type: "video", video: frames, frames: 2 },
          { type: "text", text: "What do you see?" },
        ],
        { maxNewTokens: 4 },
      );
      if (reused) for (const buffer of [picture, frames]) buffer.fill(0);
      const first = await coming.result;
      const second = await session.generate("Which shape is orange?", { maxNewTokens: 4 }).result;
      answers.push(`${first.text} ${second.text} ${second.usage.promptTokens}`);
      expect(second.usage.reusedTokens).toBeGreaterThan(second.usage.visualTokens);
      session.dispose();
    }
    expect(answers[1]).toBe(answers[0]);
  });

  test("every holder of bytes embeds alike and stays as it was", async () => {
    const { embedding } = await model.embedImage(square);
    for (const { name, bytes, memory } of byteForms(square)) {
      const before = await memory();
      expect((await model.embedImage(bytes)).embedding, name).toEqual(embedding);
      expect(await memory(), name).toBe(before);
    }
  });

  test("a buffer that was transferred away is named, and the conversation is as it was", async () => {
    const session = model.createSession();
    const gone = new Uint8Array(8);
    structuredClone(gone, { transfer: [gone.buffer] });
    const answer = session.generate([
      { type: "image", image: gone },
      { type: "text", text: "Hi" },
    ]);
    await expect(answer.result).rejects.toBeInstanceOf(MediaError);
    expect(session.messages).toEqual([]);
    session.dispose();
  });

  test("tensors are uploaded from every holder of bytes", async () => {
    const device: Device = model.device;
    const values = Uint8Array.from({ length: 21 }, (_, i) => i * 11);
    for (const { name, bytes, memory } of byteForms(values)) {
      if (!ArrayBuffer.isView(bytes)) continue;
      const before = await memory();
      const tensor = device.empty([21], "u8", name);
      device.write(tensor, bytes);
      expect(new Uint8Array(await device.read(tensor)).subarray(0, 21), name).toEqual(values);
      expect(await memory(), name).toBe(before);
      tensor.dispose();
    }
    expect(() => device.upload(new Int16Array(4) as unknown as Uint8Array, [4], "x")).toThrow(/got Int16Array/);
  });
});
