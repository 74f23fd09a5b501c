import { expect, test } from "vitest";
import { kindByName, kindOf } from "../../../src/io/checkpoint/file-kind.js";

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
/** The first file's header of a ZIP archive. */
const zip = (name: string): string =>
  `PK\x03\x04\x14${"\0".repeat(21)}${String.fromCharCode(name.length, 0)}\0\0${name}${"\0".repeat(40)}`;
const LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";

test.each<[string, string, RegExp]>([
  ["Git LFS", LFS, /Git LFS pointer/],
  ["Git LFS with CRLF and a byte order mark", `\xef\xbb\xbf${LFS.replaceAll("\n", "\r\n")}`, /Git LFS pointer/],
  ["Git LFS before its first release", LFS.replace("git-lfs", "hawser"), /Git LFS pointer/],
  ["git-annex", "/annex/objects/SHA256E-s5--00.safetensors\n", /git-annex/],
  ["a link of the cache", `../../blobs/${"a1".repeat(32)}`, /link into the Hugging Face cache/],
  ["GGUF", "GGUF\x03\0\0\0", /GGUF/],
  ["GGML", "tjgg\x03\0\0\0", /GGML/],
  ["ONNX", "\x08\x07\x12\x07pytorch\x1a\x052.1.0", /ONNX/],
  ["ONNX without a producer", "\x08\x08:\xff\x01", /ONNX/],
  ["SavedModel", "\x08\x01\x12\xd4\x93\x01\n\x10", /SavedModel/],
  ["TensorFlow Lite", "\x1c\0\0\0TFL3\x14\0", /TensorFlow Lite/],
  ["HDF5", "\x89HDF\r\n\x1a\n\0", /HDF5/],
  ["Flax", "\x81\xa5model\x82", /Flax/],
  ["Flax with many", "\xde\0\x20\xa6params", /Flax/],
  ["a pickle", "\x80\x02}q\0(X", /pickle/],
  ["a pickle of protocol 4", "\x80\x04\x95\x10\0\0\0\0\0\0\0", /pickle/],
  ["PyTorch before 1.6", "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", /pickle/],
  ["PyTorch", zip("archive/data.pkl"), /PyTorch weights/],
  ["npz", zip("arr_0.npy"), /NumPy/],
  ["npy", "\x93NUMPY\x01\0v\0", /NumPy/],
  ["Keras", zip("metadata.json"), /Keras/],
  ["ZIP", zip("tiny/config.json"), /ZIP/],
  ["gzip", "\x1f\x8b\x08", /gzip/],
  ["tar", `tiny/${"\0".repeat(252)}ustar`, /tar/],
  ["a page", "\n<!DOCTYPE html>\n<html>", /web page/],
  ["a page with a comment", "<!-- x -->\n<html>", /web page/],
  [
    "a store's error",
    "<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>no key</Message>",
    /NoSuchKey: no key/,
  ],
  ["the hub's error", "Entry not found", /Entry not found/],
  ["an error in JSON", '{"error":"Repository not found"}', /Repository not found/],
  ["zeros", "\0".repeat(512), /zeros/],
  ["nothing", "", /empty file/],
  ["safetensors", '\x40\0\0\0\0\0\0\0{"__metadata__":{}}', /safetensors/],
])("%s", (_, text, is) => {
  expect(kindOf(bytes(text))?.is).toMatch(is);
});

test.each([
  ["JSON", '{"model_type": "llava_onevision"}'],
  ["a list", "[1]"],
  ["a template", "{% for message in messages %}<|im_start|>{{ message.role }}"],
  ["plain words", "version 2 of the model"],
  ["four bytes", "\xb8\x12\0\0"],
])("%s has nothing to be said of", (_, text) => {
  expect(kindOf(bytes(text))).toBeUndefined();
});

test.each([
  ["llava-q4_k_m.gguf", /GGUF/],
  ["onnx/model.onnx", /ONNX/],
  ["pytorch_model-00001-of-00002.bin", /pickle/],
  ["consolidated.00.pth", /pickle/],
  ["flax_model.msgpack", /Flax/],
  ["tf_model.h5", /HDF5/],
  ["openvino_language_model.bin", /OpenVINO/],
])("the name %s", (name, is) => {
  expect(kindByName(name)?.is).toMatch(is);
});

test("names of checkpoint files are not recognised as foreign", () => {
  for (const name of ["model.safetensors", "config.json", "tokenizer.json", "merges.txt", "README.md"]) {
    expect(kindByName(name)).toBeUndefined();
  }
});
