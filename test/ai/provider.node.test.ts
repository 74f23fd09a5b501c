import { readFile } from "node:fs/promises";
import type { EmbeddingModelV3, LanguageModelV3, ProviderV3 } from "@ai-sdk/provider";
import {
  createProviderRegistry,
  embed,
  embedMany,
  generateObject,
  generateText,
  type LanguageModel,
  Output,
  streamObject,
  streamText,
  tool,
} from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createOcellus, type OcellusProvider } from "../../src/ai/index.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";
import { readFixture } from "../support/fixture.js";

// The AI SDK's own functions over a model in this process.

let model: LlavaOneVision;
let ocellus: OcellusProvider;
let png: Uint8Array;
let mp4: Uint8Array;
beforeAll(async () => {
  model = await LlavaOneVision.load(await checkpointFiles(TINY), { device: await sharedDevice() });
  ocellus = createOcellus(model);
  png = await readFixture(`${TINY}/examples/00-shapes.png`);
  mp4 = await readFile("models/tiny/examples/12-clip.mp4");
});
afterAll(() => {
  ocellus?.dispose();
  model?.dispose();
});

const QUESTION = "What do you see?";
const ANSWER = "An orange square at the top left.";
const about = (...content: object[]) =>
  [{ role: "user", content: [...content, { type: "text", text: QUESTION }] }] as never;
const picture = () => about({ type: "image", image: png });

test("has the types of the AI SDK", () => {
  const languageModel: LanguageModelV3 & LanguageModel = ocellus("any");
  const embeddingModel: EmbeddingModelV3 = ocellus.embeddingModel("any");
  const provider: ProviderV3 = ocellus;
  expect([languageModel.modelId, embeddingModel.provider, provider.specificationVersion]).toEqual([
    "any",
    "ocellus",
    "v3",
  ]);
  expect(createOcellus(model, { specification: "v4" })().specificationVersion).toBe("v4");
  expect(() => createOcellus(model, { specification: "v5" as never })).toThrow('expected "v3" or "v4"');
  expect(() => createOcellus(model, { name: "x" } as never)).toThrow("name");
});

test("text about a picture, with usage and finish reason", async () => {
  const { text, usage, finishReason, providerMetadata } = await generateText({ model: ocellus(), messages: picture() });
  expect([text, finishReason]).toEqual([ANSWER, "stop"]);
  expect(usage.inputTokens).toBeGreaterThan(100);
  expect(usage.totalTokens).toBe(usage.inputTokens! + usage.outputTokens!);
  expect(providerMetadata!.ocellus!.tiles).toBeGreaterThan(0);
  const again = await generateText({ model: ocellus(), messages: picture() });
  expect(again.usage.inputTokenDetails.cacheReadTokens).toBe(usage.inputTokens! - 1);
});

test("a stream is the same text, and base64 the same picture", async () => {
  const image = Buffer.from(png).toString("base64");
  const stream = streamText({
    model: ocellus(),
    messages: about({ type: "file", data: image, mediaType: "image/png" }),
  });
  let text = "";
  for await (const delta of stream.textStream) text += delta;
  expect(text).toBe(ANSWER);
  expect(await stream.finishReason).toBe("stop");
  expect((await stream.usage).outputTokens).toBeGreaterThan(3);
});

test("a clip is a file of video/…, its frames an option of the part", async () => {
  const clip = (frames?: number) =>
    about({
      type: "file",
      data: mp4,
      mediaType: "video/mp4",
      ...(frames && { providerOptions: { ocellus: { frames } } }),
    });
  const { text, usage } = await generateText({ model: ocellus(), messages: clip(2), maxOutputTokens: 8 });
  using session = model.createSession();
  const content = [
    { type: "video" as const, video: mp4, frames: 2 },
    { type: "text" as const, text: QUESTION },
  ];
  const own = await session.generate([{ role: "user", content }], { maxNewTokens: 8 }).result;
  expect([text, usage.inputTokens]).toEqual([own.text, own.usage.promptTokens]);
  const wrong = generateText({ model: ocellus(), messages: clip(-1), maxRetries: 0 });
  await expect(wrong).rejects.toThrow("frames");
});

const Shape = z.object({ shape: z.enum(["circle", "square"]), count: z.number().int().min(0).max(9) });

test("objects by a schema, complete and streamed", async () => {
  const { object } = await generateObject({ model: ocellus(), schema: Shape, messages: picture() });
  expect(Shape.parse(object)).toEqual(object);
  const { output } = await generateText({
    model: ocellus(),
    output: Output.object({ schema: Shape }),
    messages: picture(),
  });
  expect(output).toEqual(object);
  const stream = streamObject({ model: ocellus(), schema: Shape, messages: picture() });
  const parts: unknown[] = [];
  for await (const part of stream.partialObjectStream) parts.push(part);
  expect(parts.at(-1)).toEqual(object);
  expect(["circle", "square"]).toContain(
    (await generateText({ model: ocellus(), output: Output.choice({ options: ["circle", "square"] }), prompt: "?" }))
      .output,
  );
});

test("settings: sampling, stop sequences, length, and options of its own", async () => {
  const sampled = { model: ocellus(), messages: picture(), temperature: 1.5, seed: 4, topP: 0.95 };
  const [a, b] = [await generateText(sampled), await generateText(sampled)];
  expect(a.text).toBe(b.text);
  expect(a.providerMetadata!.ocellus!.seed).toBe(4);
  const stopped = await generateText({ model: ocellus(), messages: picture(), stopSequences: [" square"] });
  expect(stopped.text).toBe("An orange");
  const short = await generateText({ model: ocellus(), messages: picture(), maxOutputTokens: 1 });
  expect(short.finishReason).toBe("length");
  const regex = await generateText({
    model: ocellus(),
    messages: picture(),
    providerOptions: { ocellus: { regex: "Yes|No" } },
  });
  expect(["Yes", "No"]).toContain(regex.text);
  const typo = generateText({
    model: ocellus(),
    prompt: "x",
    providerOptions: { ocellus: { regexp: "a" } },
    maxRetries: 0,
  });
  await expect(typo).rejects.toThrow("did you mean `regex`?");
});

test("embeddings are those of embedText", async () => {
  const values = ["an orange square", "a chart"];
  const expected = (await model.embedText(values)).map((vector) => [...vector]);
  expect((await embedMany({ model: ocellus.embeddingModel(), values })).embeddings).toEqual(expected);
  expect((await embed({ model: ocellus.textEmbeddingModel("tiny"), value: values[1]! })).embedding).toEqual(
    expected[1],
  );
});

describe("abort", () => {
  test("before and during an answer rejects with the signal's reason", async () => {
    const reason = new Error("enough");
    const before = generateText({
      model: ocellus(),
      prompt: "x",
      abortSignal: AbortSignal.abort(reason),
      maxRetries: 0,
    });
    await expect(before).rejects.toBe(reason);
    const abort = new AbortController();
    const { stream } = await ocellus().doStream({
      prompt: [{ role: "user", content: [{ type: "text", text: "Tell a story." }] }],
      abortSignal: abort.signal,
      providerOptions: { ocellus: { minNewTokens: 200 } },
      maxOutputTokens: 200,
    });
    const parts: string[] = [];
    let failure: unknown;
    for await (const part of stream) {
      parts.push(part.type);
      if (part.type === "text-delta") abort.abort(reason);
      if (part.type === "error") failure = part.error;
    }
    expect(parts.slice(0, 3)).toEqual(["stream-start", "response-metadata", "text-start"]);
    expect(parts).not.toContain("finish");
    expect(failure).toBe(reason);
  });

  test("a canceled stream frees its session", async () => {
    const options = {
      prompt: [{ role: "user", content: [{ type: "text", text: "Tell a story." }] }],
      maxOutputTokens: 300,
    };
    const { stream } = await ocellus().doStream(options);
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel();
    expect((await generateText({ model: ocellus(), messages: picture() })).text).toBe(ANSWER);
  });
});

test("what is not supported is refused by name, or warned about", async () => {
  const refused = async (content: object, words: string) =>
    expect(generateText({ model: ocellus(), messages: about(content), maxRetries: 0 })).rejects.toThrow(words);
  await refused({ type: "file", data: new Uint8Array(3), mediaType: "audio/wav" }, "expected image/… or video/…");
  await refused(
    { type: "file", data: new Uint8Array(3), mediaType: "application/pdf" },
    "other files are not supported",
  );
  const tools = { f: tool({ inputSchema: z.object({}), execute: async () => "y" }) };
  await expect(generateText({ model: ocellus(), prompt: "x", tools, maxRetries: 0 })).rejects.toMatchObject({
    code: "MISSING_FEATURE",
  });
  const file = { type: "file", data: new URL("file:///etc/hostname"), mediaType: "image/png" };
  await expect(ocellus().doGenerate({ prompt: [{ role: "user", content: [file] }] })).rejects.toThrow("got a URL");
  const prompt = [
    { role: "user", content: [{ type: "text", text: "Hi" }] },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "Hm." },
        { type: "text", text: "Hello." },
      ],
    },
    { role: "user", content: [{ type: "text", text: "Hi" }] },
  ];
  const { warnings } = await ocellus().doGenerate({ prompt, reasoning: "high", maxOutputTokens: 1 });
  expect(warnings.map(({ type }) => type).sort()).toEqual(["other", "unsupported"]);
  expect(() => ocellus.imageModel()).toThrow("imageModel");
});

test("version 4 reads tagged file data", async () => {
  const v4 = createOcellus(model, { specification: "v4" });
  const file = (data: object, mediaType: string) => ({ type: "file", data, mediaType });
  const text = { type: "text", text: QUESTION };
  const { content } = await v4().doGenerate({
    prompt: [{ role: "user", content: [file({ type: "data", data: png }, "image"), text] }],
  });
  expect(content).toEqual([{ type: "text", text: ANSWER }]);
  const inline = [file({ type: "text", text: "Hello" }, "text/plain"), text];
  await v4().doGenerate({ prompt: [{ role: "user", content: inline }], maxOutputTokens: 1 });
  const url = [file({ type: "url", url: new URL("https://x.y/a.png") }, "image/png"), text];
  await expect(v4().doGenerate({ prompt: [{ role: "user", content: url }] })).rejects.toThrow(
    "expected the bytes of a file",
  );
  v4.dispose();
});

test("a registry of providers has it", async () => {
  const registry = createProviderRegistry({ ocellus });
  const { text } = await generateText({ model: registry.languageModel("ocellus:tiny"), messages: picture() });
  expect(text).toBe(ANSWER);
});
