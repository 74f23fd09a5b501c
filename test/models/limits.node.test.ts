import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LimitError } from "../../src/base/errors.js";
import { packVideo } from "../../src/models/llava-onevision/packing.js";
import type { ChatMessage, Segment } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision, type LoadOptions } from "../../src/models/llava-onevision.js";
import { Device } from "../../src/runtime/device.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { expectClose } from "../support/compare.js";
import { useDevice } from "../support/device.js";
import { answerOf, exampleOf, messagesOf } from "../support/examples.js";
import { testPicture } from "../support/pixels.js";

// Adapters with small bindings: matrices in blocks of rows, the vision tower in batches of tiles, prompts in chunks.

const files = await checkpointFiles(TINY);
const KIB = 1024;

/** The tiny model on a device without larger bindings, and the limit it was opened with. */
function useModel(maxBindingBytes: number, dtype: LoadOptions["dtype"] = "auto") {
  const held = useDevice({ maxBindingBytes });
  const made = {} as { model: LlavaOneVision };
  beforeAll(async () => {
    expect(held.device.facts.maxBindingBytes).toBe(maxBindingBytes);
    made.model = await LlavaOneVision.load(files, { device: held.device, dtype });
  });
  afterAll(() => made.model.dispose());
  return made;
}

async function reference(model: LlavaOneVision, file: string): Promise<void> {
  const example = exampleOf(file);
  for (const turn of example.turns) {
    expect(await answerOf(model, await messagesOf(example, turn)), turn.question).toEqual(turn.reference_tokens);
  }
}

describe("512 KiB, weights of 32 bits", () => {
  const made = useModel(512 * KIB, "f32");

  test("everything is in pieces", () => {
    const { model } = made;
    expect(model.internals.network.language.embedding.table.blocks).toHaveLength(2);
    expect(model.internals.network.language.layers[0]!.mlp.gateUp.weight.blocks).toHaveLength(3);
    expect(model.internals.network.language.layers[0]!.mlp.down.weight.blocks).toHaveLength(2);
    expect(model.internals.network.tilesPerBatch).toBe(2);
    expect(model.internals.network.rowsPerChunk).toBe(102);
  });

  test.each(["05-chart.png", "11-gallery-1.png", "12-clip.mp4"])("%s", (file) => reference(made.model, file));

  test("what cannot be split is refused by name, and the next question is answered", async () => {
    const question: ChatMessage[] = [{ role: "user", content: [{ type: "image", image: testPicture(760, 756) }] }];
    await expect(answerOf(made.model, question)).rejects.toThrow(
      /^tensor (packed|resampled) \[\d+, 256\]: expected at most 524288 bytes/,
    );
    await reference(made.model, "09-pair-1.png");
  });
});

describe("13 tiles and 40 frames", () => {
  const small = useModel(1024 * KIB);
  const large = useModel(64 * 1024 * KIB);

  /** A photograph of 12 tiles and the base tile, in feature rows that are blended down to nine tiles' worth. */
  const photograph: ChatMessage[] = [
    {
      role: "user",
      content: [
        { type: "image", image: testPicture(504, 378) },
        { type: "text", text: "What do you see?" },
      ],
    },
  ];
  const clip: ChatMessage[] = [
    {
      role: "user",
      content: [
        { type: "video", frames: Array.from({ length: 40 }, (_, i) => testPicture(40 + i, 60)) },
        { type: "text", text: "What happens?" },
      ],
    },
  ];

  /** Visual tokens and the logits of the prompt's last row. */
  async function run(model: LlavaOneVision, messages: ChatMessage[]) {
    const taps = new Map<string, Float32Array>();
    const session = model.createSession();
    const answer = session.generate(messages, {
      maxNewTokens: 3,
      onTaps: (recorded) => {
        for (const { name, data } of recorded) taps.set(name, data);
      },
    });
    const { tokens, usage } = await answer.result;
    session.dispose();
    return { tokens, usage, packed: taps.get("packed")!, logits: taps.get("logits")! };
  }

  test.each([
    ["a photograph", photograph, 13],
    ["a clip", clip, 40],
  ])("%s in batches and chunks", async (_, messages, tiles) => {
    expect(small.model.internals.network.tilesPerBatch).toBe(4);
    expect(large.model.internals.network.tilesPerBatch).toBeGreaterThan(40);
    expect(small.model.internals.network.rowsPerChunk).toBeLessThan(large.model.internals.network.rowsPerChunk);
    const inPieces = await run(small.model, messages);
    const whole = await run(large.model, messages);
    expect(inPieces.usage).toMatchObject({ tiles, visualTokens: whole.usage.visualTokens });
    expectClose(inPieces.packed, whole.packed, "tap", "packed");
    expectClose(inPieces.logits, whole.logits, "tap", "logits");
    expect(inPieces.tokens).toEqual(whole.tokens);
  });

  test("two segments of a clip are what one would be", async () => {
    const { model } = large;
    const { device } = model;
    const { media } = await model.internals.processor.prepare(clip);
    const { segments } = media[0]!;
    expect(segments.map(({ tileCount, plan }) => [tileCount, plan.tokens])).toEqual([
      [32, 32 * 25],
      [8, 8 * 25 + 1],
    ]);
    const tiles = new Uint8Array(segments.reduce((sum, segment) => sum + segment.tiles.length, 0));
    tiles.set(segments[0]!.tiles);
    tiles.set(segments[1]!.tiles, segments[0]!.tiles.length);
    const one = { tiles, tileCount: 40, plan: packVideo(40, 9), key: "one" };
    const packed = async (parts: readonly Segment[]) => {
      const read: number[] = [];
      for (const part of parts) {
        const tensor = device.scope(() =>
          model.internals.network.pack(
            [{ first: 0, tensor: model.internals.network.project(part.tiles, part.tileCount) }],
            part.plan,
          ),
        );
        for (const value of await tensor.read()) read.push(value);
        tensor.dispose();
      }
      return read;
    };
    expectClose(await packed(segments), await packed([one]), "tap");
  });
});

test("a limit below what one panel takes is refused when loading", async () => {
  const device = await Device.open({ maxBindingBytes: 8 * KIB });
  await expect(LlavaOneVision.load(files, { device })).rejects.toThrow(LimitError);
  expect(device.pool.liveBytes).toBe(0);
  device.dispose();
});
