import { describe, expect, test } from "vitest";
import type { ChatModel } from "../../src/models/chat/chat-model.js";
import { apiError } from "../../src/openai/api-error.js";
import { ChatCompletions } from "../../src/openai/index.js";
import { readFixture } from "../support/fixture.js";

// Requests as clients of OpenAI's interface and of its neighbours send them: what is refused is refused for its reason.

/** Ends every request that passes the checks; shows what the session would have been asked for. */
class Accepted extends Error {
  constructor(readonly options: Record<string, unknown>) {
    super("accepted");
  }
}
const model = {
  createSession: () => ({
    generate: (_: unknown, options: Record<string, unknown>) => {
      throw new Accepted(options);
    },
    dispose: () => {},
  }),
} as unknown as ChatModel;
const completions = new ChatCompletions(model);
const hi = { role: "user", content: "Hi" };

async function outcome(request: unknown): Promise<{ message: string; options: Record<string, unknown> }> {
  const error: unknown = await completions.start(request).catch((cause: unknown) => cause);
  if (error instanceof Accepted) return { message: "accepted", options: error.options };
  const { status, body } = apiError(error);
  expect(status).toBe(400);
  expect((error as Error).message.startsWith(`${body.error.param}: `)).toBe(true);
  return { message: body.error.message, options: {} };
}

const call = { id: "c1", type: "function", function: { name: "f", arguments: "{}" } };

describe("messages", () => {
  test.each<[string, unknown, RegExp]>([
    [
      "a tool's",
      { role: "tool", tool_call_id: "c1", content: "rain" },
      /\.role: .*got "tool" — tools are not called here; put what a tool said/,
    ],
    [
      "a function's",
      { role: "function", name: "f", content: "rain" },
      /\.role: .*got "function" — tools are not called here/,
    ],
    [
      "an answer of tool calls",
      { role: "assistant", content: null, tool_calls: [call] },
      /\.tool_calls: expected none.*tools are not called here/,
    ],
    [
      "an answer of a call",
      { role: "assistant", content: null, function_call: { name: "f" } },
      /\.function_call: .*function calls are not supported/,
    ],
    ["an answer of sound", { role: "assistant", content: null, audio: { id: "a" } }, /\.audio: .*its transcript/],
    ["a refusal", { role: "assistant", content: null, refusal: "No." }, /\.refusal: .*text of a refusal/],
    ["a call's id alone", { ...hi, tool_call_id: "c1" }, /\.tool_call_id: .*it belongs to tool messages/],
    ["content null", { role: "assistant", content: null }, /\.content: expected a text or a list of parts, got null/],
    ["no content", { role: "user" }, /\.content: .*got none/],
    ["capitals", { role: "User", content: "Hi" }, /did you mean "user"\? Upper and lower case count/],
    ["another's name for users", { role: "human", content: "Hi" }, /did you mean "user"/],
    ["another's name for models", { role: "model", content: "Hi" }, /did you mean "assistant"/],
    ["Ollama's pictures", { ...hi, images: ["…"] }, /\.images: .*image_url/],
    ["a part without URL", { role: "user", content: [{ type: "image" }] }, /got "image" — did you mean "image_url"/],
    ["Responses' parts", { role: "user", content: [{ type: "input_text", text: "Hi" }] }, /Responses API/],
    ["sound", { role: "user", content: [{ type: "input_audio", input_audio: {} }] }, /audio is not supported/],
    [
      "a URL as text",
      { role: "user", content: [{ type: "image_url", image_url: "data:," }] },
      /expected an object with a url, got "data:,"/,
    ],
    [
      "a wrong detail",
      { role: "user", content: [{ type: "image_url", image_url: { url: "data:,", detail: "hi" } }] },
      /\.detail: expected "auto", "low", "high", got "hi"/,
    ],
    [
      "base64 that is none",
      { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,?" } }] },
      /invalid or empty base64/,
    ],
  ])("%s", async (_, message, words) => {
    expect((await outcome({ messages: [hi, message, hi] })).message).toMatch(words);
  });
});

describe("fields", () => {
  test.each<[unknown, RegExp]>([
    [{ temperature: "0.7" }, /^temperature: expected a number from 0 to 2, got "0\.7"/],
    [{ stream: "true" }, /^stream: expected true or false, got "true"/],
    [{ tools: [{ type: "function" }] }, /^tools: expected none.*tools are not called here/],
    [{ tool_choice: "required" }, /^tool_choice: expected none, got "required"/],
    [{ functions: [{ name: "f" }] }, /^functions: /],
    [{ n: 17 }, /^n: expected a whole number from 1 to 16, got 17/],
    [{ logit_bias: { word: 1 } }, /^logit_bias: expected numbers from -100 to 100 by token id, got "word": 1/],
    [
      { logit_bias: Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, 1])) },
      /at most 1024 tokens, got 1025/,
    ],
    [{ min_tokens: 9, max_tokens: 8 }, /^min_tokens: expected at most max_tokens, 8, got 9/],
    [{ ignore_eos: true }, /^ignore_eos: .*send min_tokens/],
    [{ guided_regex: 5 }, /^guided_regex: expected a regular expression, got 5/],
    [{ guided_json: "{" }, /^guided_json: expected a JSON schema, or its JSON text/],
    [{ guided_choice: [] }, /^guided_choice: expected a list of 1 to 1000 texts/],
    [{ guided_regex: "a", guided_grammar: 'root ::= "a"' }, /got guided_regex and guided_grammar/],
    [{ guided_json: {}, response_format: { type: "json_object" } }, /got response_format and guided_json/],
    [{ structured_outputs: { xml: 1 } }, /^structured_outputs\.xml: expected a known field/],
    [{ logit_bias: { "5": 101 } }, /^logit_bias: .*got "5": 101/],
    [{ audio: { voice: "alloy" } }, /^audio: .*answers are text/],
    [{ modalities: ["text", "audio"] }, /^modalities: .*answers are text/],
    [{ reasoning_effort: "high" }, /^reasoning_effort: /],
    [{ web_search_options: { user_location: {} } }, /^web_search_options: /],
    [{ prediction: { type: "content", content: "x" } }, /^prediction: /],
    [{ seed: 2 ** 70 }, /^seed: expected a whole number of at most 64 bits.*got 1\.18\d+e21/],
    [{ seed: 1.5 }, /^seed: .*got 1\.5/],
    [{ max_tokens: 1e300 }, /^max_tokens: expected a whole number from 1 to 9007199254740991, got 1e300/],
    [{ max_new_tokens: 5 }, /did you mean `max_tokens`/],
    [{ max_output_tokens: 5 }, /did you mean `max_completion_tokens`/],
    [{ topP: 1 }, /did you mean `top_p`/],
    [{ Temperature: 1 }, /did you mean `temperature`\? Upper and lower case count/],
    [{ prompt: "Hi" }, /send messages/],
    [{ extra_body: { top_k: 1 } }, /beside messages/],
    [{ banana: 1 }, /^banana: .*leave it out/],
    [{ "a\u001b[2J": 1 }, /^a\\u001b\[2J: /],
    [{ stop: ["a", ""] }, /^stop: .*none of them empty, got \["a",""\]/],
    [{ response_format: "json_object" }, /^response_format: .*got "json_object" — send \{ "type"/],
    [
      { response_format: { type: "json_schema", schema: {} } },
      /^response_format\.schema: .*send it within json_schema/,
    ],
    [{ response_format: { type: "JSON_object" } }, /did you mean "json_object"\? Upper and lower/],
    [{ stream_options: { include_usage: true } }, /^stream_options: expected stream: true beside it, got none/],
    [{ top_logprobs: 3 }, /^top_logprobs: expected logprobs: true/],
  ])("%j", async (fields, words) => {
    expect((await outcome({ messages: [hi], ...(fields as object) })).message).toMatch(words);
  });

  test.each([
    { tools: [], tool_choice: "auto", functions: [], function_call: "none", logit_bias: {}, parallel_tool_calls: true },
    { modalities: ["text"], reasoning_effort: "none", verbosity: "medium", service_tier: "auto", store: false },
    { seed: null, stop: null, n: 1, user: "u", metadata: {}, response_format: { type: "text" } },
  ])("what asks for nothing: %j", async (fields) => {
    expect((await outcome({ messages: [hi], ...fields })).message).toBe("accepted");
  });

  test("answers of completions come back as they were", async () => {
    const answer = { role: "assistant", content: "Hi.", refusal: null, annotations: [], tool_calls: null, audio: null };
    expect((await outcome({ messages: [hi, answer, hi] })).message).toBe("accepted");
  });

  test("seeds of 64 bits are taken, each its own", async () => {
    const seeds = [0, 1, -1, 2 ** 53 - 1, 2 ** 60, 2 ** 60 + 256, 2 ** 63, -(2 ** 63) + 2048, 2 ** 62, 2 ** 61];
    const taken = new Set<unknown>();
    for (const seed of seeds) {
      const { options } = await outcome({ messages: [hi], temperature: 1, seed });
      expect(Number.isSafeInteger(options.seed) && (options.seed as number) >= 0).toBe(true);
      taken.add(options.seed);
    }
    expect(taken.size).toBe(seeds.length);
  });
});

describe("vLLM's fields", () => {
  test.each<[object, object]>([
    [
      { top_k: 5, min_p: 0.1 },
      { temperature: 1, topK: 5, minP: 0.1 },
    ],
    [
      { repetition_penalty: 1.2, min_tokens: 3 },
      { repetitionPenalty: 1.2, minNewTokens: 3 },
    ],
    [{ logit_bias: { "5": -100, "7": 2 } }, { logitBias: { "5": -100, "7": 2 } }],
    [{ guided_json: { type: "object" } }, { schema: { type: "object" } }],
    [{ guided_json: '{"type":"array"}' }, { schema: { type: "array" } }],
    [{ guided_regex: "a+" }, { regex: "a+" }],
    [{ guided_choice: ["yes (1)", "no."], guided_decoding_backend: "x" }, { regex: "yes \\(1\\)|no\\." }],
    [{ guided_grammar: 'root ::= "a"' }, { grammar: 'root ::= "a"' }],
    [{ structured_outputs: { choice: ["a", "b"] } }, { regex: "a|b" }],
    [{ skip_special_tokens: true, ignore_eos: false, length_penalty: 1 }, {}],
  ])("%j", async (fields, options) => {
    const passed = await outcome({ messages: [hi], ...fields });
    expect(passed.message).toBe("accepted");
    const { imageMode: _, specialTokens: _s, signal: _g, onProgress: _p, ...others } = passed.options;
    expect(others).toEqual(options);
  });

  test("several choices are sampled, unless a temperature says otherwise", async () => {
    expect((await outcome({ messages: [hi], n: 2 })).options.temperature).toBe(1);
    expect((await outcome({ messages: [hi], n: 2, temperature: 0 })).options.temperature).toBe(undefined);
  });
});

describe("bounds", () => {
  const nested = (levels: number): unknown => JSON.parse("[".repeat(levels) + "]".repeat(levels));

  test("more than 200 levels are refused wherever they are", async () => {
    for (const place of [{ tools: nested(300) }, { metadata: nested(100_000) }, { messages: nested(201) }]) {
      expect((await outcome({ messages: [hi], ...place })).message).toContain(
        "request: expected at most 200 levels of lists and objects, got more",
      );
    }
    expect((await outcome({ messages: [hi], metadata: nested(150) })).message).toBe("accepted");
  });

  test("a name of a megabyte is refused at once, and not repeated", async () => {
    const { message } = await outcome({ messages: [hi], ["max_token".repeat(111_111)]: 1 });
    expect(message.length).toBeLessThan(300);
    expect(message).toContain("leave it out");
  });

  test("a frame of a clip counts as a picture", async () => {
    const clip = await readFixture("media/videos/h264_hd_unspecified.mp4");
    const url = `data:video/mp4;base64,${btoa(Array.from(clip, (byte) => String.fromCharCode(byte)).join(""))}`;
    const content = [{ type: "video_url", video_url: { url } }];
    const small = new ChatCompletions(model, { maxPixels: 1280 * 720 - 1 });
    const error = apiError(
      await small.start({ messages: [{ role: "user", content }] }).catch((cause: unknown) => cause),
    );
    expect([error.status, error.body.error.code]).toEqual([413, "too_many_pixels"]);
    expect(error.body.error.message).toContain("got one of 1280 × 720");
    const enough = new ChatCompletions(model, { maxPixels: 1280 * 720 });
    await expect(enough.start({ messages: [{ role: "user", content }] })).rejects.toThrow(Accepted);
  });
});
