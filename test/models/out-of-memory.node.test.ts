import { afterAll, beforeAll, expect, test } from "vitest";
import { LimitError } from "../../src/base/errors.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { readFixture } from "../support/fixture.js";

// An adapter whose memory runs out: SwiftShader states a limit of 1 GiB for a buffer, and refuses one of just that size.

const files = await checkpointFiles(TINY);
const part = { type: "image", image: await readFixture(`${TINY}/examples/00-shapes.png`) } as const;
const question = [part, { type: "text", text: "What do you see?" }] as const;
const ANSWER = "An orange square at the top left.";

let device: Device;
let model: LlavaOneVision;
/** Called with the size of every allocation; true refuses it. */
let refuses = (_: number): boolean => false;
let refused = 0;

beforeAll(async () => {
  device = await Device.open();
  const { gpu } = device;
  const create = gpu.createBuffer.bind(gpu);
  const size = Math.min(device.facts.maxBufferBytes, device.facts.maxBindingBytes);
  gpu.createBuffer = (descriptor) => {
    // Staging buffers are mapped, and are not refused here.
    if ((descriptor.usage & GPUUsage.storage) === 0 || !refuses(descriptor.size)) return create(descriptor);
    refused++;
    return create({ ...descriptor, size });
  };
  model = await LlavaOneVision.load(files, { device });
});
const GPUUsage = { storage: 0x80 };

afterAll(() => {
  model.dispose();
  expect(device.pool.liveBytes).toBe(0);
  device.dispose();
});

test("an allocation that is refused once is not noticed", async () => {
  const idle = model.createSession();
  await idle.generate(question).result;
  for (const nth of [1, 9, 25]) {
    device.pool.trim();
    let count = 0;
    refused = 0;
    refuses = () => ++count === nth;
    const [session, other] = [model.createSession(), model.createSession()];
    const [first, second] = await Promise.all([
      session.generate([
        { role: "system", content: `${nth}.` },
        { role: "user", content: question },
      ]).result,
      // Its commands are submitted with those of the other.
      other.generate(question).result,
    ]);
    expect([first.text, second.text]).toEqual([ANSWER, ANSWER]);
    expect(refused).toBe(1);
    session.dispose();
    other.dispose();
  }
  refuses = () => false;
  // The idle session gave its memory up, and computes its rows again.
  expect((await idle.attention()).media).toHaveLength(1);
  expect((await idle.generate("And where?").result).tokens.length).toBeGreaterThan(0);
  idle.dispose();
});

test("memory for no more than small requests is an error for the others only", async () => {
  const session = model.createSession();
  device.pool.trim();
  refuses = (bytes) => bytes > 150_000;
  await expect(session.generate(question).result).rejects.toThrow(LimitError);
  await expect(model.embedImage(part.image)).rejects.toThrow(/room for another buffer/);
  expect((await model.embedText("a star")).length).toBe(model.config.text.width);
  expect((await session.generate("Hello!", { maxNewTokens: 4 }).result).tokens.length).toBeGreaterThan(0);
  refuses = () => false;
  expect((await session.generate(question).result).text).not.toBe("");
  session.reset();
  expect((await session.generate(question).result).text).toBe(ANSWER);
  session.dispose();
});
