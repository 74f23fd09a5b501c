import { expect, test } from "vitest";
import { checkOptions, nearest, suggestion } from "../../src/base/options.js";

const NAMES = ["temperature", "topP", "topK", "seed", "stop", "n", "maxNewTokens", "response_format", "image_url"];

test.each([
  ["temprature", "temperature"],
  ["tempreature", "temperature"],
  ["temp", "temperature"],
  ["top_p", "topP"],
  ["top-k", "topK"],
  ["TOPP", "topP"],
  ["sede", "seed"],
  ["seeds", "seed"],
  ["max_new_tokens", "maxNewTokens"],
  ["responseformat", "response_format"],
  ["image", "image_url"],
  ["stopping", "stop"],
])("%s was meant to be %s", (word, name) => {
  expect(nearest(word, NAMES)).toBe(name);
});

test.each([
  "",
  "m",
  "x",
  "id",
  "to",
  "banana",
  "topic",
  "_",
  "stop_sequences",
  "seed",
  "n",
  "maximum",
  "a".repeat(1e6),
])("%.20s is near to nothing", (word) => {
  expect(nearest(word, NAMES)).toBeUndefined();
});

test("a known word is never offered, and neither is another in its place", () => {
  for (const name of NAMES) expect(nearest(name, NAMES)).toBeUndefined();
  expect(nearest("$id", ["$id", "$ref", "$defs"])).toBeUndefined();
});

test("the remedy mentions case if only the case differs", () => {
  expect(suggestion("topp", NAMES)).toBe("did you mean `topP`? Upper and lower case count");
  expect(suggestion("topq", NAMES)).toBe("did you mean `topP`?");
  expect(suggestion("Seed", NAMES, (name) => `--${name}`)).toBe("did you mean --seed? Upper and lower case count");
  expect(suggestion("banana", NAMES)).toBeUndefined();
  expect(() => checkOptions("load", { Seed: 1 }, NAMES)).toThrow("got option `Seed` — did you mean `seed`?");
});

test.each([
  ["max_tokens", ["maxNewTokens", "topK"], "maxNewTokens"],
  ["maxNewTokens", ["max_tokens", "top_k"], "max_tokens"],
  ["max-length", ["max-new-tokens"], "max-new-tokens"],
  ["fp16", ["auto", "f32", "f16", "bf16", "q8", "q4"], "f16"],
  ["torch.float16", ["auto", "f32", "f16", "bf16", "q8", "q4"], "f16"],
  ["bfloat16", ["auto", "f32", "f16", "bf16", "q8", "q4"], "bf16"],
  ["int8", ["auto", "f32", "f16", "bf16", "q8", "q4"], "q8"],
  ["Q4_K_M", ["auto", "f32", "f16", "bf16", "q8", "q4"], "q4"],
  ["quantization", ["device", "dtype"], "dtype"],
  ["url", ["type", "image"], "image"],
  ["url", ["type", "video", "frames"], "video"],
  ["num_frames", ["type", "video", "frames"], "frames"],
  ["bot", ["system", "user", "assistant"], "assistant"],
  ["stop_sequences", ["stop", "seed"], "stop"],
  ["json_schema", ["schema", "regex"], "schema"],
])("%s of another library is %j's %s", (word, known, name) => {
  expect(suggestion(word, known, String)).toMatch(new RegExp(`^did you mean ${name}\\?`));
});

test.each([["q4"], [null], [42], [["dtype"]]])("options that are %j are no object", (options) => {
  expect(() => checkOptions("load", options as unknown as object, ["dtype"])).toThrow(
    "load: expected options as an object",
  );
});
