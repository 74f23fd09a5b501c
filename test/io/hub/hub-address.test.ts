import { expect, test } from "vitest";
import { parseHubAddress } from "../../../src/io/hub/hub-address.js";

test.each([
  ["https://huggingface.co/org/name", "org/name", undefined],
  ["https://huggingface.co/org/name/", "org/name", undefined],
  ["https://hf.co/org/name?library=transformers#files", "org/name", undefined],
  ["https://www.huggingface.co/org/name.git", "org/name", undefined],
  ["https://huggingface.co/org/name/tree/main", "org/name", "main"],
  ["https://huggingface.co/org/name/tree/refs%2Fpr%2F1", "org/name", "refs/pr/1"],
  ["https://huggingface.co/org/name/tree/refs/pr/1", "org/name", "refs/pr/1"],
  ["https://huggingface.co/org/name/blob/v1/config.json", "org/name", "v1"],
  ["hf://org/name", "org/name", undefined],
  ["hf://org/name@v1", "org/name", "v1"],
  ["hf://org/name@refs%2Fpr%2F1/", "org/name", "refs/pr/1"],
])("%s", (text, name, revision) => {
  expect(parseHubAddress(text)).toEqual(revision === undefined ? { name } : { name, revision });
});

test("a mirror's pages are the hub's", () => {
  const address = "http://127.0.0.1:8/org/name/tree/main";
  expect(parseHubAddress(address, "http://127.0.0.1:8")).toEqual({ name: "org/name", revision: "main" });
  expect(parseHubAddress(address)).toBeUndefined();
});

test.each(["https://huggingface.co/org/name/resolve/main", "https://host.test/org/name", "./org/name", "C:\\name"])(
  "%s is something else",
  (text) => {
    expect(parseHubAddress(text)).toBeUndefined();
  },
);

test.each([
  ["datasets/org/name", /dataset/],
  ["spaces/org/name", /space/],
  ["https://huggingface.co/datasets/org/name", /dataset/],
  ["https://huggingface.co/spaces/org/name/tree/main", /space/],
  ["hf://datasets/org/name", /dataset/],
  ["https://huggingface.co/org/name/tree/main/fp16", /the folder fp16 within org\/name/],
  ["hf://org/name/fp16", /the folder fp16 within org\/name/],
  ["https://huggingface.co/org/name/discussions/3", /"discussions".*org\/name/],
  ["https://huggingface.co/org", /another page/],
  ["https://huggingface.co/papers/2408.03326x/y/z/w", /papers/],
])("%s is refused", (text, words) => {
  expect(() => parseHubAddress(text)).toThrow(words);
});
