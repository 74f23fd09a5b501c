import { expect, test } from "vitest";
import { foreignTensors, listed } from "../../../src/io/checkpoint/foreign-tensors.js";

test.each([
  ["model.layers.0.self_attn.q_proj.lora_A.weight", /^LoRA matrices of an adapter \(.*lora_A/, /merge_and_unload/],
  ["model.layers.0.mlp.up_proj.lora_magnitude_vector", /^LoRA/, /merge/],
  ["model.layers.0.mlp.up_proj.qweight", /^matrices quantised by another tool \(.*qweight\)$/, /dtype "q8" or "q4"/],
  ["model.layers.0.mlp.up_proj.weight_scale_inv", /^matrices quantised/, /quantised from/],
  ["model.layers.0.mlp.up_proj.SCB", /^matrices quantised/, /quantised from/],
])("%s is another tool's", (name, got, remedy) => {
  const found = foreignTensors(["model.norm.weight", name, "other.qzeros"]);
  expect(found?.got).toMatch(got);
  expect(found?.remedy).toMatch(remedy);
});

test("names that plain checkpoints have, or that only begin so, are nobody else's", () => {
  const names = ["model.norm.weight", "explora_A.weight", "x.qweight.bias", "scales", "rescales.weight"];
  expect(foreignTensors(names)).toBeUndefined();
});

test("of many names the first are told", () => {
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  expect(listed(names.slice(0, 5))).toBe("a, b, c, d, e");
  expect(listed(names)).toBe("a, b, c, d, e and 2 more");
  expect(listed(names, 1)).toBe("a and 6 more");
});
