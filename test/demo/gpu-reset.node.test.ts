import { join } from "node:path";
import type { Page } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";
import { Demo, picker, ready } from "../support/demo.js";
import { random } from "../support/random.js";

// The browser's GPU process ends while the page answers: the answers and the conversation are those of an undisturbed page.

const SQUARE = join(ROOT, "models/tiny/examples/00-shapes.png");
/** A page may lose two devices in a minute; each is opened anew for the next two. */
const PAGES = 5;

let demo: Demo;
beforeAll(async () => {
  // Chromium gives up on a GPU process that ends often, and on WebGPU for pages where it does.
  demo = await Demo.open(["--disable-gpu-process-crash-limit", "--disable-domain-blocking-for-3d-apis"]);
});
afterAll(() => demo?.close());

/** Asks a question, calls `meanwhile` once it is asked, and returns the answer. */
async function ask(page: Page, question: string, meanwhile?: () => Promise<void>): Promise<string | null> {
  const count = await page.locator(".turn").count();
  await page.getByLabel("Question", { exact: true }).fill(question);
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  const turn = page.locator(".turn").nth(count);
  await turn.waitFor();
  await meanwhile?.();
  await turn.and(page.locator("[data-phase=done], [data-phase=failed]")).waitFor();
  return turn.locator(".answer").textContent();
}

/** Two questions about a drawing. */
async function talk(page: Page, meanwhile?: () => Promise<void>): Promise<(string | null)[]> {
  await ready(page);
  await picker(page).setInputFiles(SQUARE);
  return [await ask(page, "What do you see?", meanwhile), await ask(page, "Describe all of it.", meanwhile)];
}

test("ten ends of the GPU process, each in a running answer", async () => {
  const undisturbed = await demo.visit();
  const expected = await talk(undisturbed);
  await undisturbed.close();
  expect(expected[0]).toBe("An orange square at the top left.");
  const cdp = await demo.browser.newBrowserCDPSession();
  const next = random(1);
  const phases: (string | null)[] = [];
  for (let visit = 0; visit < PAGES; visit++) {
    // A reload of the tab itself fails now and then, right after its GPU process ended.
    const page = await demo.tab(undisturbed.context());
    const answers = await talk(page, async () => {
      await page.waitForTimeout(250 * next());
      phases.push(await page.locator(".turn").last().getAttribute("data-phase"));
      await cdp.send("Browser.crashGpuProcess" as never);
    });
    expect(answers).toEqual(expected);
    expect(await page.locator(".turn[data-phase=done]").count()).toBe(2);
    await page.close();
  }
  console.log(`phases of the answers when the GPU process ended: ${phases.join(", ")}`);
  expect(phases).toHaveLength(2 * PAGES);
});
