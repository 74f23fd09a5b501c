import { expect, test } from "vitest";
import { OptionError } from "../../../src/base/errors.js";
import { biasOf } from "../../../src/models/chat/logit-bias.js";

test("a number for every token", () => {
  expect([...biasOf({ 0: -100, 3: 0.5 }, 5)!]).toEqual([-100, 0, 0, 0.5, 0]);
});

test.each<Record<string, number>>([{}, { 1: 0, 2: -0 }])("none where nothing is changed: %j", (bias) => {
  expect(biasOf(bias, 5)).toBeUndefined();
});

test.each<[object, RegExp]>([
  [{ 5: 1 }, /session\.generate, logitBias: expected numbers from -100 to 100 by token ids from 0 to 4, got "5": 1/],
  [{ yes: 1 }, /got "yes": 1 — encode the word with the checkpoint's own tokenizer/],
  [{ "01": 1 }, /got "01": 1/],
  [{ "-1": 1 }, /got "-1": 1/],
  [{ 1: 100.5 }, /got "1": 100\.5/],
  [{ 1: Number.NaN }, /got "1": NaN/],
  [{ 1: "2" }, /got "1": "2"/],
])("refuses %j", (bias, message) => {
  const read = () => biasOf(bias as Record<string, number>, 5);
  expect(read).toThrow(OptionError);
  expect(read).toThrow(message);
});
