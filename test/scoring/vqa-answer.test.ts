import { expect, test } from "vitest";
import { vqaNormal } from "../../src/scoring/vqa-answer.js";

test.each([
  ["The Two Dogs.", "2 dogs"],
  ["none", "0"],
  ["dont know", "don't know"],
  ["it's well", "it's well"],
  ["3.5 meters.", "3.5 meters"],
  ["1,000", "1000"],
  ["black-and-white", "black and white"],
  ["yes, it is", "yes it is"],
  ["\ta\nbig  house ", "big house"],
  ["", ""],
])("%j is %j", (answer, normal) => {
  expect(vqaNormal(answer)).toBe(normal);
});
