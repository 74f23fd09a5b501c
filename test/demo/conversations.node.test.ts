import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";
import { Demo, picker, ready } from "../support/demo.js";

// Conversations outlive the page: a reload, the bench page, the list of conversations, files.

const DRAWINGS = join(ROOT, "models/tiny/examples");
const ANSWER = "An orange square at the top left.";

let demo: Demo;
let page: Page;
beforeAll(async () => {
  demo = await Demo.open();
});
afterAll(async () => {
  expect(demo?.faults).toEqual([]);
  expect(demo?.foreign).toEqual([]);
  await demo?.close();
});
beforeEach(async () => {
  await page?.context().close();
  page = await demo.visit();
  await ready(page);
});

const box = () => page.getByLabel("Question", { exact: true });
async function attach(name: string): Promise<void> {
  await picker(page).setInputFiles(join(DRAWINGS, name));
  await page.locator(".attachment[data-measured=true]").waitFor();
}
const answers = () => page.locator(".answer .markdown").allTextContents();

async function ask(question: string): Promise<string> {
  await box().fill(question);
  await box().press("Enter");
  const turn = page.locator(".turn").last();
  await turn.and(page.locator("[data-phase=done], [data-phase=failed]")).waitFor();
  return (await turn.locator(".answer .markdown").textContent()) ?? "";
}

/** Waits until what is written is stored. */
const stored = () => page.waitForTimeout(600);

test("a reload in the middle of an answer: conversation, media and draft are there, and the answer is continued", async () => {
  await attach("00-shapes.png");
  expect(await ask("What do you see?")).toBe(ANSWER);
  await attach("12-clip.mp4");
  await box().fill("Describe the video.");
  await page.locator(".attachment[data-measured=true]").waitFor();
  // Reloaded by the page itself as soon as a word is there: from here it may be too late.
  await page.evaluate(() => {
    new MutationObserver(() => {
      const last = [...document.querySelectorAll(".turn")].at(-1);
      if (document.querySelectorAll(".turn").length === 2 && last?.querySelector(".markdown")) {
        setTimeout(() => location.reload(), 0);
      }
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
  });
  await box().press("Enter");
  await page.waitForEvent("load");
  const turn = page.locator(".turn").last();
  await turn.and(page.locator("[data-phase=interrupted], [data-phase=done]")).waitFor();
  expect(await page.locator(".turn").count()).toBe(2);
  expect(await page.locator(".turn .question .thumbnail").count()).toBe(2);
  expect((await answers())[0]).toBe(ANSWER);
  await ready(page);
  if ((await turn.getAttribute("data-phase")) === "interrupted") {
    const button = turn.getByRole("button", { name: /Continue|Ask again/ }).first();
    await button.click();
    await turn.and(page.locator("[data-phase=done]")).waitFor();
  }
  expect((await answers())[1]).toMatch(/^An? .*\.$/);
  await attach("01-shapes.png");
  await box().fill("And what is this?");
  await page.locator(".attachment[data-measured=true]").waitFor();
  await stored();
  for (const leave of [() => page.reload(), () => page.getByRole("link", { name: "Bench" }).click()]) {
    await leave();
    if (page.url().includes("bench")) await page.goBack();
    await page.locator(".attachment").waitFor();
    expect(await box().inputValue()).toBe("And what is this?");
    expect(await page.locator(".turn").count()).toBe(2);
  }
});

test("an answer that is stopped is continued from where it was", async () => {
  await page.evaluate(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector(".answer .markdown")) return;
      const stop = [...document.querySelectorAll("button")].find(({ textContent }) => textContent === "Stop");
      if (!stop) return;
      observer.disconnect();
      stop.click();
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
  });
  await attach("00-shapes.png");
  const cut = await ask("What do you see?");
  expect(ANSWER.startsWith(cut)).toBe(true);
  const turn = page.locator(".turn");
  if (cut !== ANSWER) {
    await turn.getByRole("button", { name: "Continue" }).click();
    await expect.poll(answers).toEqual([ANSWER]);
  }
  await turn.and(page.locator("[data-phase=done]")).waitFor();
  // A question is edited in a branch of the conversation; the first one stays in the list.
  await turn.getByRole("button", { name: "Edit question" }).click();
  await expect.poll(() => page.locator(".turn").count()).toBe(0);
  expect(await box().inputValue()).toBe("What do you see?");
  await page.locator(".attachment[data-measured=true]").waitFor();
  expect(await ask("Which shape is orange?")).toBe("The square.");
  await stored();
  await page.getByRole("button", { name: "Conversations" }).click();
  await expect.poll(() => page.locator(".conversations li").count()).toBe(2);
});

test("the list: open, rename, delete with undo, export and import", async () => {
  await attach("00-shapes.png");
  await ask("What do you see?");
  await page.getByRole("button", { name: "New conversation" }).click();
  const hello = await ask("Hello!");
  await stored();
  const list = page.getByRole("dialog", { name: "Conversations" });
  const titles = () => list.locator(".title > :first-child").allTextContents();
  await page.getByRole("button", { name: "Conversations" }).click();
  await expect.poll(titles).toEqual(["Hello!", "What do you see?"]);
  await demo.shoot(page, "conversations");

  await list.getByRole("button", { name: "Rename What do you see?" }).click();
  await list.getByLabel("Title").fill("A square");
  await list.getByLabel("Title").press("Enter");
  await expect.poll(titles).toEqual(["Hello!", "A square"]);

  await list.getByRole("button", { name: "Delete A square" }).click();
  await expect.poll(titles).toEqual(["Hello!"]);
  await list.getByRole("button", { name: "Undo" }).click();
  await expect.poll(titles).toEqual(["Hello!", "A square"]);

  const exported = async (format: string) => {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      list.getByLabel("Export A square").selectOption(format),
    ]);
    return { name: download.suggestedFilename(), path: await download.path() };
  };
  const markdown = await exported("Markdown");
  expect(markdown.name).toBe("A-square.md");
  expect(readFileSync(markdown.path, "utf8")).toBe(
    `# A square\n\n## Question\n\n*00-shapes.png*\n\nWhat do you see?\n\n## Answer\n\n${ANSWER}\n`,
  );
  const json = await exported("JSON");
  await list.getByRole("button", { name: "Delete A square" }).click();
  await expect.poll(titles).toEqual(["Hello!"]);
  const importer = page.getByLabel("Exported conversation");
  await importer.setInputFiles({ name: "wrong.json", mimeType: "application/json", buffer: Buffer.from("{}") });
  await list.getByText("wrong.json is not a conversation that this page exported as JSON.").waitFor();
  await importer.setInputFiles({ name: json.name, mimeType: "application/json", buffer: readFileSync(json.path) });
  await expect.poll(() => list.count()).toBe(0);
  await expect.poll(answers).toEqual([ANSWER]);
  // With its picture: the next question is about it.
  expect(await ask("Which shape is orange?")).toBe("The square.");

  await page.getByRole("button", { name: "Conversations" }).click();
  await list.getByRole("button", { name: /^Hello!/ }).click();
  await expect.poll(answers).toEqual([hello]);
});

test("options are remembered, and change the answer", async () => {
  await page.getByRole("button", { name: "Options" }).click();
  const options = page.getByRole("dialog", { name: "Options" });
  await options.getByLabel(/^JSON schema/).fill("{");
  await options.getByText("This is not JSON").waitFor();
  await options
    .getByLabel(/^JSON schema/)
    .fill('{ "type": "object", "properties": { "shape": { "enum": ["square", "star"] } }, "required": ["shape"] }');
  await options.getByLabel(/^Answer length limit/).fill("40");
  await page.keyboard.press("Escape");
  await page.reload();
  await ready(page);
  await attach("00-shapes.png");
  await box().fill("What do you see?");
  await box().press("Enter");
  const form = page.locator(".answer table.json");
  await form.waitFor();
  expect(await form.textContent()).toMatch(/^shape(square|star)$/);
  await page.getByRole("button", { name: "Options" }).click();
  expect(await options.getByLabel(/^Answer length limit/).inputValue()).toBe("40");
  await options.getByRole("button", { name: "Reset all" }).click();
  expect(await options.getByLabel(/^JSON schema/).inputValue()).toBe("");
});

test("pictures that another app shares are in a new question", async () => {
  await ask("Hello!");
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.reload();
  await page.evaluate(
    async (bytes) => {
      const data = new FormData();
      data.set("media", new File([new Uint8Array(bytes)], "shared picture.png", { type: "image/png" }));
      data.set("text", "What do you see?");
      const response = await fetch("./share", { method: "POST", body: data });
      location.href = response.url;
    },
    [...readFileSync(join(DRAWINGS, "00-shapes.png"))],
  );
  await page.locator(".attachment[data-measured=true]").waitFor();
  expect(await page.getByRole("button", { name: "shared picture.png: details" }).count()).toBe(1);
  expect(await box().inputValue()).toBe("What do you see?");
  expect(await page.locator(".turn").count()).toBe(0);
});
