import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";
import { Demo, ready, violations } from "../support/demo.js";

// The panel that teaches the model: pictures with answers, a run with its curve, the test, and the adapter as files.

const DRAWINGS = join(ROOT, "models/tiny/examples");

let demo: Demo;
let page: Page;
beforeAll(async () => {
  demo = await Demo.open();
  page = await demo.visit({ viewport: { width: 390, height: 844 }, acceptDownloads: true });
  await ready(page);
  await page.getByRole("button", { name: "Teach" }).click();
});
afterAll(async () => {
  expect(demo?.faults).toEqual([]);
  expect(demo?.foreign).toEqual([]);
  await demo?.close();
});

const dialog = () => page.getByRole("dialog", { name: "Teach the model" });
const start = () => dialog().getByRole("button", { name: /^Teach/ });

async function setSteps(steps: number): Promise<void> {
  await dialog().getByText("Training options").click();
  await dialog().getByRole("spinbutton", { name: "Steps" }).fill(String(steps));
  await dialog().getByRole("spinbutton", { name: "Steps" }).press("Tab");
}

test("own pictures need answers before they teach anything", async () => {
  expect(await start().isDisabled()).toBe(true);
  const files = ["00-shapes.png", "07-marks.png"].map((name) => join(DRAWINGS, name));
  await dialog().locator("input[type=file]").setInputFiles(files);
  await dialog().getByLabel("Right answer for 00-shapes.png").fill("A hinge.");
  expect(await dialog().getByText("At least 2 pictures need an answer.").isVisible()).toBe(true);
  await dialog().getByLabel("Right answer for 07-marks.png").fill("A lid.");
  expect(await start().isEnabled()).toBe(true);
  expect(await violations(page)).toEqual([]);
  await dialog().getByRole("button", { name: "Remove 07-marks.png" }).click();
  expect(await start().isDisabled()).toBe(true);
});

test("drawings teach it: a curve, answers before and after, and an adapter to download and to use", async () => {
  await dialog().getByRole("button", { name: "Try it: teach it traffic lights" }).click();
  // A quarter of each answer's pictures is tested with.
  await dialog()
    .getByText(/^4\d pictures to learn from, 1\d to test with\.$/)
    .waitFor();
  await setSteps(3);
  for (let i = 0; i < 48; i++)
    await dialog()
      .getByRole("button", { name: /^Remove traffic/ })
      .first()
      .click();
  const counts = await dialog()
    .getByText(/ to test with\.$/)
    .textContent();
  const tested = Number(/, (\d+) to test with/.exec(counts!)![1]);
  expect(tested).toBeGreaterThan(0);
  await start().click();
  await dialog().locator("[data-phase=training]").waitFor();
  await dialog().locator("[data-phase=done]").waitFor();
  expect(await dialog().locator(".loss-curve").getAttribute("aria-label")).toMatch(/after 3 of 3 steps$/);
  expect(await dialog().locator("[data-before]").getAttribute("data-before")).toBe("0");
  expect(await dialog().locator("tbody tr").count()).toBe(tested);
  expect(await violations(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  await demo.shoot(page, "teach-phone");
  await page.setViewportSize({ width: 1440, height: 900 });
  await demo.shoot(page, "teach-desktop");

  const saved = page.waitForEvent("download", (download) => download.suggestedFilename() === "adapter_config.json");
  await dialog().getByRole("button", { name: "Download the adapter" }).click();
  const config = JSON.parse(await readFile(await (await saved).path(), "utf8")) as { peft_type: string; r: number };
  expect(config).toMatchObject({ peft_type: "LORA", r: 16 });
  await dialog().getByLabel("Use it in the conversation").check();
  await dialog().getByRole("button", { name: "Close" }).click();
  const box = page.getByLabel("Question", { exact: true });
  await box.fill("Hello!");
  await box.press("Enter");
  await page.locator(".turn[data-phase=done]").waitFor();
});

test("a run can be stopped, and what it learnt so far stays", async () => {
  await page.getByRole("button", { name: "Teach" }).click();
  await setSteps(500);
  await start().click();
  await dialog()
    .getByText(/^Step \d/)
    .waitFor();
  await dialog().getByRole("button", { name: "Stop" }).click();
  await dialog().locator("[data-phase=done]").waitFor();
  expect(await dialog().getByRole("button", { name: "Download the adapter" }).isVisible()).toBe(true);
});
