import { expect, test } from "vitest";
import { trainingReport } from "../../src/cli/training-report.js";

test("a page without scripts has the curves, the options and the answers, escaped", () => {
  const log = [
    { step: 1, loss: 4 },
    { step: 2, loss: 2 },
    { step: 2, evalLoss: 3, exactMatch: 0.5 },
  ];
  const page = trainingReport("Run <1>", { steps: 2, train: ["lora"], seed: undefined }, log, [
    { answer: "<b>", expected: "a & b" },
  ]);
  expect(page).toContain("<h1>Run &#60;1&#62;</h1>");
  expect(page).toContain('points="48.0,8.0 752.0,152.0"');
  expect(page).toContain('points="752.0,80.0"');
  expect(page).toContain("<td>50.0 %</td>");
  expect(page).toContain("<td>&#60;b&#62;</td><td>a &#38; b</td>");
  expect(page).toContain("<td>train</td><td>[&#34;lora&#34;]</td>");
  expect(page).not.toMatch(/<script|https?:|seed/);
});
