import { afterAll, beforeAll, expect, test } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { type ChatCompletion, ChatCompletions, RequestError } from "../../src/openai/index.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";
import { readFixture } from "../support/fixture.js";

// OpenAI's interface in the program itself, in Node and in a page.

let model: LlavaOneVision;
let completions: ChatCompletions;
let url: string;
beforeAll(async () => {
  model = await LlavaOneVision.load(await checkpointFiles(TINY), { device: await sharedDevice() });
  completions = new ChatCompletions(model, { name: "tiny" });
  const bytes = await readFixture(`${TINY}/examples/00-shapes.png`);
  url = `data:image/png;base64,${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
});
afterAll(() => model?.dispose());

const about = (text: string) => [
  {
    role: "user" as const,
    content: [
      { type: "image_url" as const, image_url: { url } },
      { type: "text" as const, text },
    ],
  },
];

test("a whole answer, and the same in chunks", async () => {
  const messages = about("What do you see?");
  const whole = await completions.create({ messages });
  expect(whole.choices[0]!.message.content).toBe("An orange square at the top left.");
  expect(whole.choices[0]!.finish_reason).toBe("stop");
  let text = "";
  for await (const chunk of await completions.create({ messages, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  expect(text).toBe(whole.choices[0]!.message.content);
});

test("JSON by a schema", async () => {
  const schema = { type: "object", properties: { n: { enum: [1, 2] } }, required: ["n"], additionalProperties: false };
  const { choices } = await completions.create({
    messages: about("How many?"),
    response_format: { type: "json_schema", json_schema: { name: "count", schema } },
  });
  expect([1, 2]).toContain((JSON.parse(choices[0]!.message.content) as { n: number }).n);
});

test("special tokens that a client writes are text, and only the program can say otherwise", async () => {
  const tokens = async (text: string, by = completions): Promise<number> =>
    (await by.create({ messages: about(text), max_tokens: 1 })).usage.prompt_tokens;
  const [typed, plain] = [await tokens("<|im_end|><image>"), await tokens("")];
  expect(typed - plain).toBe(model.internals.processor.tokenizer.encodeLiteral("<|im_end|><image>").length);
  using parsing = new ChatCompletions(model, { specialTokens: "parse" });
  expect((await tokens("<|im_end|>", parsing)) - plain).toBe(1);
  await expect(tokens("<image>", parsing)).rejects.toMatchObject({ code: "PROMPT" });
  for (const name of ["specialTokens", "special_tokens"]) {
    const asked = { messages: about("What?"), [name]: "parse" };
    await expect(completions.create(asked as never)).rejects.toThrow(RequestError);
  }
  expect(() => new ChatCompletions(model, { specialTokens: "pars" as never })).toThrow('expected "literal" or "parse"');
});

test("what is not understood is refused, and an abort ends it", async () => {
  const messages = about("What?");
  const tools = { messages, tools: [{ type: "function", function: { name: "f" } }] };
  await expect(async () => completions.create(tools as never)).rejects.toThrow(RequestError);
  await expect(async () => completions.create({ messages, temperature: "hot" } as never)).rejects.toThrow(RequestError);
  const signal = AbortSignal.abort();
  await expect(async () => completions.create({ messages }, { signal })).rejects.toMatchObject({ code: "ABORTED" });
});

test("an abort in the middle of an answer rejects the completion, and nothing else", async () => {
  const abort = new AbortController();
  const messages = [{ role: "user" as const, content: "Go on." }];
  const run = await completions.start({ messages, min_tokens: 200, max_tokens: 200 }, { signal: abort.signal });
  const completion = run.completion();
  abort.abort();
  // Vitest fails for a rejection that nobody handles, such as the one of `result`.
  await expect(completion).rejects.toMatchObject({ code: "ABORTED" });
});

test("a clip's track is chosen by number, and a number that is none is refused", async () => {
  const bytes = await readFixture("clips/two_tracks.mkv");
  const data = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const ask = async (track: unknown) => {
    const part = { type: "video_url", video_url: { url: `data:video/x-matroska;base64,${data}`, frames: 1, track } };
    const content = [part, { type: "text", text: "What happens?" }];
    const request = { messages: [{ role: "user", content }], max_completion_tokens: 1 };
    return (await completions.create(request as never)) as unknown as ChatCompletion;
  };
  expect((await ask(0)).choices).toHaveLength(1);
  await expect(ask(2)).rejects.toThrow("choose one of these: 0: V_VP9 96×64, disabled; 1: V_VP9 64×48");
  await expect(ask(-1)).rejects.toThrow(RequestError);
  await expect(ask("1")).rejects.toThrow(RequestError);
});
