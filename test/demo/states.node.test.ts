import { join } from "node:path";
import type { BrowserContext, Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";
import { Demo, picker, ready } from "../support/demo.js";

// What the page says and does when something is missing: WebGPU, memory, room for weights, the adapter, the network.

const SQUARE = join(ROOT, "models/tiny/examples/00-shapes.png");
const WEIGHTS = ".safetensors";
const WEIGHTS_BYTES = 10_143_528;

let demo: Demo;
beforeAll(async () => {
  demo = await Demo.open();
});
afterAll(() => demo?.close());

/** Asks about a drawing and gives the answer. */
async function ask(page: Page): Promise<string | null> {
  await picker(page).setInputFiles(SQUARE);
  await page.getByLabel("Question", { exact: true }).fill("What do you see?");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  const turn = page.locator(".turn").last();
  await turn.and(page.locator("[data-phase=done], [data-phase=failed]")).waitFor();
  return turn.locator(".answer").textContent();
}
const ANSWER = "An orange square at the top left.";

describe("a visitor", () => {
  let page: Page;
  let context: BrowserContext;

  test("whose page is closed in mid-download goes on where it was", async () => {
    demo.stallAfterBytes = 3_000_000;
    page = await demo.visit();
    context = page.context();
    await expect.poll(() => demo.sent(WEIGHTS), { timeout: 20_000 }).toBe(3_000_000);
    await page.locator(".model-status[data-phase=downloading] progress").waitFor();
    await page
      .locator(".model-status")
      .getByText(/of 10 MB · waiting for the network/)
      .waitFor();
    await demo.shoot(page, "downloading");
    // What has arrived is on its way into the browser's storage.
    await page.waitForTimeout(500);
    await page.close();
    demo.stallAfterBytes = Number.POSITIVE_INFINITY;
    page = await demo.tab(context);
    await ready(page);
    // What came before the end of the first page was not fetched again.
    console.log(`bytes of weights sent in both visits: ${demo.sent(WEIGHTS)} of ${WEIGHTS_BYTES}`);
    expect(demo.sent(WEIGHTS)).toBeGreaterThanOrEqual(WEIGHTS_BYTES);
    expect(demo.sent(WEIGHTS)).toBeLessThan(WEIGHTS_BYTES + 1_100_000);
    expect(await ask(page)).toBe(ANSWER);
  });

  test("without a network opens the page again, and the model answers", async () => {
    await page.evaluate(() => navigator.serviceWorker.ready);
    demo.down = true;
    await page.reload();
    await ready(page);
    expect(await ask(page)).toBe(ANSWER);
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.locator("button[data-kind=chart]").click();
    await page.locator(".turn[data-phase=done]").waitFor();
    await demo.shoot(page, "offline");
    demo.down = false;
  });

  test("whose adapter is lost keeps the conversation, and the model comes back from the browser's storage", async () => {
    const sent = demo.sent(WEIGHTS);
    const cdp = await demo.browser.newBrowserCDPSession();
    await cdp.send("Browser.crashGpuProcess" as never);
    await page.getByRole("button", { name: "Ask again" }).click();
    await page.locator(".turn[data-phase=done]").waitFor();
    await ready(page);
    expect(await page.locator(".model-status").textContent()).toContain("was reset, and the model was loaded again");
    await demo.shoot(page, "device-lost");
    expect(await page.locator(".turn").textContent()).toContain("The orange bar.");
    expect(demo.sent(WEIGHTS)).toBe(sent);
  });

  test("who allows less memory than the model takes is told what it takes and what would fit", async () => {
    await page.getByRole("button", { name: /^Model:/ }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel(/^Graphics memory/).fill("20");
    await dialog.getByLabel(/^Graphics memory/).press("Tab");
    await dialog.getByRole("button", { name: "Load again" }).click();
    const state = page.locator("[data-state=too-small]");
    await state.waitFor();
    expect(await state.textContent()).toMatch(/20\.0 MB|20 MB|20,000,000|20000000/);
    await demo.shoot(page, "too-small");
    await state.getByRole("button", { name: /Load without the limit/ }).click();
    await ready(page);
  });

  test("deletes what is kept", async () => {
    await page.getByRole("button", { name: /^Model:/ }).click();
    const dialog = page.getByRole("dialog");
    const kept = dialog.getByRole("listitem").filter({ hasText: "ocellus/tiny" });
    await kept.getByText("10 MB").waitFor();
    await demo.shoot(page, "kept");
    await kept.getByRole("button", { name: /^Delete/ }).click();
    await kept.getByRole("button", { name: /^Delete .* now/ }).click();
    await expect.poll(() => kept.count()).toBe(0);
    await page.close();
    const before = demo.sent(WEIGHTS);
    page = await demo.tab(context);
    await ready(page);
    expect(demo.sent(WEIGHTS) - before).toBe(WEIGHTS_BYTES);
    await context.close();
  });
});

test("two tabs at once fetch the weights once; wrong bytes are refused, thrown away and fetched anew", async () => {
  const before = demo.sent(WEIGHTS);
  demo.corrupt = true;
  const page = await demo.visit();
  const context = page.context();
  const failed = page.locator(".model-status [data-code=CHECKPOINT]");
  await failed.waitFor();
  expect(await failed.textContent()).toMatch(/hash/);
  expect(demo.sent(WEIGHTS) - before).toBe(WEIGHTS_BYTES);
  demo.corrupt = false;
  await page.close();
  const tabs = await Promise.all([demo.tab(context), demo.tab(context)]);
  await Promise.all(tabs.map((tab) => ready(tab)));
  expect(demo.sent(WEIGHTS) - before).toBe(2 * WEIGHTS_BYTES);
  await context.close();
});

test("a visitor without room for the weights is told so before they are fetched", async () => {
  const page = await demo.visit();
  const context = page.context();
  await page.close();
  const before = demo.sent(WEIGHTS);
  const other = await context.newPage();
  const cdp = await context.newCDPSession(other);
  await cdp.send("Storage.overrideQuotaForOrigin", { origin: new URL(demo.url).origin, quotaSize: 2_000_000 });
  await other.goto(demo.url);
  const state = other.locator("[data-state=no-room]");
  await state.waitFor();
  expect(await state.textContent()).toMatch(/There is no room left\. It needs 10 MB, and [\d.]+ [kM]?B are free\./);
  expect(demo.sent(WEIGHTS) - before).toBe(0);
  await demo.shoot(other, "no-room");
  // What is kept can be deleted from there.
  await state.getByRole("button", { name: "Show cached models" }).click();
  await other.getByRole("heading", { name: "Cached in this browser" }).waitFor();
  await context.close();
});

test("a visitor without WebGPU is told what to do", async () => {
  const page = await demo.visit();
  // In every worker too: there is no adapter to be had.
  await page.close();
  const context = await demo.browser.newContext();
  await context.route(/model-worker/, async (route) => {
    const response = await route.fetch();
    const script = await response.text();
    await route.fulfill({
      response,
      body: `Object.defineProperty(navigator, "gpu", { value: undefined });\n${script}`,
    });
  });
  const tab = await demo.tab(context);
  const state = tab.locator("[data-state=no-webgpu]");
  await state.waitFor();
  expect(await state.textContent()).toMatch(/Safari.*version 26/);
  await demo.shoot(tab, "no-webgpu");
  await context.close();
});
