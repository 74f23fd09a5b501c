import { beforeAll, expect, test } from "vitest";
import type { Processor } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { prepareSample, type TrainingMessage } from "../../src/training/samples.js";
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

const TURNS: TrainingMessage[] = [
  { role: "user", content: "Who?" },
  { role: "assistant", content: "Me." },
  { role: "user", content: "Why?" },
  { role: "assistant", content: "So <|im_end|> it is." },
];

/** The supervised text, and that each row precedes its token. */
async function supervised(messages: TrainingMessage[], options: Parameters<typeof prepareSample>[2]): Promise<string> {
  const { inputIds, supervision } = await prepareSample(processor, { messages }, options);
  expect(supervision.rows.map((row) => inputIds[row + 1])).toEqual(supervision.ids);
  return processor.tokenizer.decode(supervision.ids);
}

test.each(["checkpoint", "onevision"] as const)(
  "all answers and the ends of their turns, with the template %s",
  async (template) => {
    expect(await supervised(TURNS, { template })).toBe("Me.<|im_end|>So <|im_end|> it is.<|im_end|>");
  },
);

test("an end in the text of an answer is text", async () => {
  const { supervision } = await prepareSample(processor, { messages: TURNS }, { template: "onevision" });
  const end = processor.tokenizer.idOf("<|im_end|>");
  expect(supervision.ids.filter((id) => id === end).length).toBe(2);
});

test("token ids are supervised as they are", async () => {
  const messages: TrainingMessage[] = [
    { role: "user", content: "Who?" },
    { role: "assistant", content: [{ type: "tokens", tokens: [5, 6, 7] }] },
  ];
  const { supervision, inputIds } = await prepareSample(processor, { messages }, {});
  const end = processor.tokenizer.idOf("<|im_end|>");
  expect(supervision.ids).toEqual([5, 6, 7, end]);
  expect(inputIds.slice(-4)).toEqual([5, 6, 7, end]);
});

test("labels of the family's code: whole turns of the assistant, and every marker and line feed", async () => {
  const text = await supervised(TURNS.slice(0, 2), { template: "onevision", labels: "llava-next" });
  // The first marker is predicted by no row; of the system prompt and the question only markers and line feeds count.
  expect(text).toBe("\n<|im_end|>\n<|im_start|>\n<|im_end|>\n<|im_start|>assistant\nMe.<|im_end|>\n");
});

test("pictures that are in a file are loaded, and an error of one names the record", async () => {
  const question = (image: string | Uint8Array): TrainingMessage => ({
    role: "user",
    content: [
      { type: "image", image },
      { type: "text", text: "Which?" },
    ],
  });
  const answer: TrainingMessage = { role: "assistant", content: "A hinge." };
  const [name, where] = ["a.parquet, row 1, picture 1", "a.parquet, row 1"];
  const record = (image: Uint8Array) => {
    return { messages: [question(name), answer], where, load: async () => [question(image), answer] };
  };
  const { media, supervision } = await prepareSample(processor, record(bmp(30, 20)), {});
  expect(media.map(({ view: { width, height } }) => [width, height])).toEqual([[30, 20]]);
  expect(processor.tokenizer.decode(supervision.ids)).toBe("A hinge.<|im_end|>");
  await expect(prepareSample(processor, record(new Uint8Array(9)), {})).rejects.toThrow(
    /^a\.parquet, row 1: image 1: expected/,
  );
});

test("a record that is longer than the context is refused", async () => {
  const tokens = new Array<number>(40_000).fill(1);
  const messages: TrainingMessage[] = [
    { role: "user", content: "Who?" },
    { role: "assistant", content: [{ type: "tokens", tokens }] },
  ];
  const record = { messages, where: "data.jsonl, line 3" };
  await expect(prepareSample(processor, record, {})).rejects.toThrow(/data.jsonl, line 3: expected at most \d+ tokens/);
});
