import { expect, test } from "vitest";
import { readLoraConfig } from "../../../src/io/checkpoint/lora-config.js";
import type { JsonValue } from "../../../src/io/text/json.js";

const PLAIN = { peft_type: "LORA", r: 8, lora_alpha: 16, bias: "none", use_dora: false, use_rslora: false };
const read = (more: Record<string, JsonValue>) => readLoraConfig({ ...PLAIN, ...more }, "adapter_config.json");

test("the scale is alpha / rank, or alpha / √rank where it is rank-stabilised", () => {
  expect(read({}).scaleOf("layers.0.mlp.up_proj", 8)).toBe(2);
  expect(read({ use_rslora: true }).scaleOf("layers.0.mlp.up_proj", 64)).toBe(2);
});

test("alpha_pattern is matched with the end of a module's path, as PEFT does", () => {
  const config = read({ alpha_pattern: { "layers\\.\\d\\.self_attn.q_proj": 32, q_proj: 4, proj: 1 } });
  expect(config.scaleOf("language_model.layers.0.self_attn.q_proj", 8)).toBe(4);
  expect(config.scaleOf("other.q_proj", 8)).toBe(0.5);
  expect(config.scaleOf("layers.0.up_proj", 8)).toBe(2);
});

test.each<[string, Record<string, JsonValue>, RegExp]>([
  ["IA3", { peft_type: "IA3" }, /"peft_type": "LORA", got "IA3"/],
  ["AdaLoRA", { peft_type: "ADALORA" }, /got "ADALORA".*merge_and_unload/],
  ["DoRA", { use_dora: true }, /"use_dora" false, got true/],
  ["trained biases", { bias: "lora_only" }, /"bias" "none", got "lora_only"/],
  ["transposed weights", { fan_in_fan_out: true }, /"fan_in_fan_out" false/],
  ["replicated layers", { layer_replication: [[0, 2]] }, /"layer_replication" not set/],
  ["no alpha", { lora_alpha: null }, /a number as "lora_alpha"/],
  ["a broken pattern", { alpha_pattern: { "(": 1 } }, /alpha_pattern: expected expressions/],
])("%s is refused by name", (_, more, message) => {
  expect(() => read(more)).toThrow(message);
});

test("empty and absent fields of newer versions are LoRA", () => {
  expect(read({ layer_replication: null, target_parameters: [], arrow_config: null }).scaleOf("q_proj", 16)).toBe(1);
  expect(() => readLoraConfig(undefined, "x")).toThrow("expected an object");
});
