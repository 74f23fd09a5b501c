import { join } from "node:path";
import type { Page } from "playwright";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";
import { type Demo, openDemo, picker, ready } from "../support/demo.js";

// What visitors do by mistake, and what browsers forbid: nothing is lost, and nothing is done that was not meant.

const SQUARE = join(ROOT, "models/tiny/examples/00-shapes.png");

let demo: Demo;
let page: Page;
beforeAll(async () => {
  ({ demo, page } = await openDemo());
});
afterAll(() => demo?.close());

const box = (tab = page) => tab.getByLabel("Question", { exact: true });
const done = (tab = page) => tab.locator(".turn[data-phase=done]");

async function anew(): Promise<void> {
  await page.getByRole("button", { name: "New conversation" }).click();
  await expect.poll(() => page.locator(".turn").count()).toBe(0);
}

test("an example leaves what was being written", async () => {
  await picker(page).setInputFiles(SQUARE);
  await box().fill("half a question");
  await page.locator(".examples button").first().click();
  await done().waitFor();
  expect(await box().inputValue()).toBe("half a question");
  expect(await page.locator(".attachment").count()).toBe(1);
  expect(await page.locator(".turn .question .thumbnail").count()).toBe(1);
  await anew();
});

test("a double click on Ask asks, and does not stop", async () => {
  await picker(page).setInputFiles(SQUARE);
  await box().fill("Describe all of it.");
  await page.locator(".attachment[data-measured=true]").waitFor();
  await page.getByRole("button", { name: "Ask", exact: true }).dblclick();
  await done().waitFor();
  expect(await page.locator(".turn .answer").textContent()).not.toContain("Stopped");
});

test("an edited question is cancelled, an earlier one is asked again, a turn comes back", async () => {
  await box().fill("What do you see?");
  await box().press("Enter");
  await expect.poll(() => done().count()).toBe(2);
  await page.getByRole("button", { name: "Edit question" }).last().click();
  await expect.poll(() => page.locator(".turn").count()).toBe(1);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await expect.poll(() => page.locator(".turn").count()).toBe(2);
  await page.getByRole("button", { name: "Delete" }).first().click();
  await expect.poll(() => page.locator(".turn").count()).toBe(1);
  await page.getByRole("button", { name: "Undo" }).click();
  expect(await page.locator(".turn").first().textContent()).toContain("Describe all of it.");
  await page.getByRole("button", { name: "Ask again" }).first().click();
  await expect.poll(() => page.locator(".turn").count()).toBe(1);
  await done().waitFor();
  await page.waitForTimeout(600);
  await page.getByRole("button", { name: "Conversations" }).click();
  // The whole is in the list beside the branch; the edit that was cancelled is not.
  await expect
    .poll(
      async () =>
        (await page.locator(".conversations li").allTextContents()).filter((one) => /2 questions/.test(one)).length,
    )
    .toBe(1);
  await page.keyboard.press("Escape");
  await anew();
});

test("a question that is too long is not sent, also where Enter follows at once", async () => {
  const text = "What is in this picture? ".repeat(1500);
  await box().fill(text);
  await box().press("Enter");
  await page.getByText(/tokens over the model's context/).waitFor();
  expect(await page.locator(".turn").count()).toBe(0);
  expect(await box().inputValue()).toBe(text);
  await box().fill("");
});

test("a mark that is dragged is drawn once, when it rests", async () => {
  const buffer = await sharp({ create: { width: 2000, height: 1500, channels: 3, background: "gray" } })
    .png()
    .toBuffer();
  await page.evaluate(() => {
    const { convertToBlob } = OffscreenCanvas.prototype;
    Object.assign(globalThis, { drawn: 0 });
    OffscreenCanvas.prototype.convertToBlob = function (options) {
      (globalThis as unknown as { drawn: number }).drawn++;
      return convertToBlob.call(this, options);
    };
  });
  await picker(page).setInputFiles({ name: "grey.png", mimeType: "image/png", buffer });
  await page.getByRole("button", { name: "grey.png: details" }).click();
  await page.locator(".mark-area img").waitFor();
  const area = (await page.locator(".mark-area").boundingBox())!;
  await page.mouse.move(area.x + 20, area.y + 20);
  await page.mouse.down();
  for (let x = 0; x < 60; x++) await page.mouse.move(area.x + 20 + x, area.y + 20 + x);
  await page.mouse.up();
  const drawn = () => page.evaluate(() => (globalThis as unknown as { drawn: number }).drawn);
  await expect.poll(drawn).toBeGreaterThan(0);
  // A busy machine may rest between two moves.
  expect(await drawn()).toBeLessThan(6);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Remove grey.png" }).click();
});

test("a copied tab goes on in a conversation of its own", async () => {
  await box().fill("What do you see?");
  await box().press("Enter");
  await done().waitFor();
  await page.waitForTimeout(600);
  const opened = page.waitForEvent("popup");
  await page.evaluate(() => void window.open(location.href));
  const copy = await opened;
  await done(copy).waitFor();
  await ready(copy);
  const names = await Promise.all(
    [page, copy].map((tab) => tab.evaluate(() => sessionStorage.getItem("ocellus conversation"))),
  );
  expect(names[0]).not.toBe(names[1]);
  await copy.close();
});

test("a conversation that is deleted while it is answered stays deleted", async () => {
  await picker(page).setInputFiles(SQUARE);
  await box().fill("Tell me all of it.");
  await page.locator(".attachment[data-measured=true]").waitFor();
  await box().press("Enter");
  await page.getByRole("button", { name: "Conversations" }).click();
  const list = page.getByRole("dialog", { name: "Conversations" });
  await list
    .locator("li[aria-current]")
    .getByRole("button", { name: /^Delete/ })
    .click();
  await list.getByRole("button", { name: "Undo" }).waitFor();
  await page.waitForTimeout(600);
  await page.keyboard.press("Escape");
  expect(await page.locator(".turn").count()).toBe(0);
  await page.getByRole("button", { name: "Conversations" }).click();
  expect(await list.locator("li[aria-current]").count()).toBe(0);
});

test.each(["storage", "database"])("without %s the page works, and says what is not stored", async (denied) => {
  const context = await demo.browser.newContext();
  const tab = await context.newPage();
  const faults: string[] = [];
  tab.on("pageerror", (error) => faults.push(String(error)));
  await tab.addInitScript((denied) => {
    const refuse = () => {
      throw new DOMException("denied", "SecurityError");
    };
    if (denied === "storage") Object.assign(Storage.prototype, { getItem: refuse, setItem: refuse });
    else IDBFactory.prototype.open = refuse;
  }, denied);
  await tab.goto(demo.url);
  await ready(tab);
  if (denied === "database") await tab.getByText("This conversation is not stored").waitFor();
  await box(tab).fill("What do you see?");
  await box(tab).press("Enter");
  await done(tab).waitFor();
  expect(faults).toEqual([]);
  await context.close();
});
