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
