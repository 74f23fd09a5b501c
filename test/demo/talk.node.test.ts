import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ImageContent, VideoContent } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { ROOT } from "../support/cli.js";
import { type Demo, openDemo, picker, violations } from "../support/demo.js";

// The page as a visitor uses it: built for a host of files and opened in a headless Chromium.

interface Example {
  readonly kind: string;
  readonly title: string;
  readonly files: readonly string[];
  readonly frames?: number;
  readonly question: string;
  /** What is right, by what was drawn. */
  readonly answer: string;
}

/** Those that the embedded model is shown. */
const EXAMPLES = (JSON.parse(readFileSync(join(ROOT, "demo/examples.json"), "utf8")) as Partial<Example>[]).filter(
  (example): example is Example => example.answer !== undefined,
);
const DRAWINGS = join(ROOT, "models/tiny/examples");

let demo: Demo;
let page: Page;
beforeAll(async () => {
  ({ demo, page } = await openDemo());
});
afterAll(() => demo?.close());

afterEach(async () => {
  await clearConversation();
  expect(demo.faults.splice(0)).toEqual([]);
  expect(demo.foreign).toEqual([]);
});

/** Begins a new conversation if there is one, so that a test that failed leaves nothing to the next one. */
async function clearConversation(): Promise<void> {
  const button = page.getByRole("button", { name: "New conversation" });
  if ((await button.count()) > 0) await button.click();
}

/** Waits for the newest answer. */
async function answerOf(tab: Page): Promise<string> {
  const turn = tab.locator(".turn").last();
  await turn.and(tab.locator("[data-phase=done], [data-phase=failed]")).waitFor();
  const failed = await turn.locator(".fault").allTextContents();
  expect(failed).toEqual([]);
  return (await turn.locator(".answer .markdown").textContent()) ?? "";
}

describe("the bundled examples", () => {
  let model: LlavaOneVision;
  beforeAll(async () => {
    model = await LlavaOneVision.load(join(ROOT, "models/tiny"));
  });
  afterAll(() => model?.dispose());

  test.each(EXAMPLES)(
    "$title: the page and Node answer what is right",
    async ({ title, files, frames, question, answer }) => {
      const media = files.map((name): ImageContent | VideoContent => {
        const path = join(DRAWINGS, name);
        return name.endsWith(".mp4") ? { type: "video", video: path, frames: frames! } : { type: "image", image: path };
      });
      using session = model.createSession();
      const expected = await session.generate([...media, { type: "text", text: question }]).result;
      expect(expected.text).toBe(answer);
      await page.getByRole("button", { name: new RegExp(`${title} ${question.replace("?", "\\?")}`) }).click();
      expect(await answerOf(page)).toBe(expected.text);
      await demo.shoot(page, `example ${title.toLowerCase()}`);
    },
  );
});

describe("a question", () => {
  const file = (name: string): string => join(DRAWINGS, name);

  test("shows tiles, frames and tokens before it is sent", async () => {
    await picker(page).setInputFiles(file("01-shapes.png"));
    const picture = page.locator(".attachment[data-kind=image][data-measured=true]");
    await picture.waitFor();
    expect(await picture.locator("figcaption").textContent()).toBe("216 tokens");
    await page.getByRole("button", { name: "01-shapes.png: details" }).click();
    await page.getByRole("dialog").getByText("207 × 125, whole and 2 × 1 tiles, 216 tokens").waitFor();
    await page.keyboard.press("Escape");
    const [cut] = await picture.locator(".tiles line").all();
    expect(await cut!.getAttribute("x1")).toMatch(/^50(\.\d+)?$/);

    await picker(page).setInputFiles(file("13-clip.mp4"));
    const clip = page.locator(".attachment[data-kind=video][data-measured=true]");
    await clip.waitFor();
    await page.getByRole("button", { name: "13-clip.mp4: details" }).click();
    const dialog = page.getByRole("dialog", { name: "13-clip.mp4" });
    await dialog.getByText("8 frames").waitFor();
    await expect.poll(() => dialog.locator(".stills img").count()).toBe(8);
    expect(await dialog.locator(".timeline .moment").count()).toBe(8);
    await dialog.getByLabel("Frames", { exact: true }).fill("3");
    await dialog.getByLabel("Frames", { exact: true }).press("Tab");
    await expect.poll(() => dialog.locator(".timeline .moment").count()).toBe(3);
    await page.keyboard.press("Escape");
    // In another order, by the keyboard.
    const names = () =>
      page.locator(".attachment .thumbnail-button").evaluateAll((all) => all.map(({ ariaLabel }) => ariaLabel));
    const order = await names();
    await page.getByRole("button", { name: "13-clip.mp4: details" }).press("Alt+ArrowLeft");
    expect(await names()).toEqual([...order].reverse());
    expect(await page.locator("[data-tokens]").textContent()).toMatch(/^\d+ of 4,096 tokens$/);
    await page.getByRole("button", { name: "Remove 13-clip.mp4" }).click();
    await page.getByRole("button", { name: "Remove 01-shapes.png" }).click();
    expect(await page.locator(".attachment").count()).toBe(0);
  });

  test("takes pictures that are dropped and pasted, and says what is neither picture nor clip", async () => {
    const bytes = [...readFileSync(file("00-shapes.png"))];
    for (const kind of ["drop", "paste"] as const) {
      await page.evaluate(
        ([kind, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "drawing.png", { type: "image/png" }));
          const event =
            kind === "drop"
              ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
              : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
          document.body.dispatchEvent(event);
        },
        [kind, bytes] as const,
      );
    }
    await expect.poll(() => page.locator(".attachment[data-measured=true]").count()).toBe(2);
    await picker(page).setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("?") });
    expect(await page.getByRole("alert").textContent()).toContain("notes.txt");
    await picker(page).setInputFiles({ name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
    await page.locator(".composer .fault[data-code=MEDIA]").waitFor();
    const remove = page.getByRole("button", { name: /^Remove/ });
    while ((await remove.count()) > 0) await remove.first().click();
    await expect.poll(() => page.locator(".fault").count()).toBe(0);
  });

  test("is asked with the keyboard, goes on from what was said, and is asked again", async () => {
    await picker(page).setInputFiles(file("00-shapes.png"));
    const box = page.getByLabel("Question", { exact: true });
    await box.fill("What do you see?");
    await box.press("Enter");
    expect(await answerOf(page)).toBe("An orange square at the top left.");
    await box.fill("Which shape is orange?");
    await box.press("Enter");
    const second = await answerOf(page);
    expect(await page.locator(".turn").last().locator(".figures").textContent()).toMatch(/\d+ cached/);
    await page.getByRole("button", { name: "Ask again" }).last().click();
    expect(await answerOf(page)).toBe(second);
    expect(await page.locator(".turn").count()).toBe(2);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy" }).first().click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("An orange square at the top left.");
  });

  test("is given up for another conversation while it is answered", async () => {
    await picker(page).setInputFiles(file("12-clip.mp4"));
    await page.getByLabel("Question", { exact: true }).fill("Describe the video.");
    await page.getByLabel("Question", { exact: true }).press("Enter");
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.locator("button[data-kind=table]").click();
    expect(await answerOf(page)).toBe(EXAMPLES.find(({ kind }) => kind === "table")!.answer);
    expect(await page.locator(".turn").count()).toBe(1);
  });

  test("is stopped before its answer begins, and the next one is answered", async () => {
    await picker(page).setInputFiles(file("14-clip.mp4"));
    await page.locator(".attachment[data-kind=video]").waitFor();
    // Clicked inside the page as soon as the button is drawn: a click from here can come after a short answer.
    await page.evaluate(() => {
      new MutationObserver((_, observer) => {
        const stop = [...document.querySelectorAll("button")].find(({ textContent }) => textContent === "Stop");
        if (!stop) return;
        observer.disconnect();
        stop.click();
      }).observe(document.body, { childList: true, subtree: true, characterData: true });
    });
    const box = page.getByLabel("Question", { exact: true });
    await box.fill("Describe the video.");
    await box.press("Enter");
    const turn = page.locator(".turn[data-phase=done]");
    await turn.waitFor();
    expect(await turn.locator(".answer").textContent()).toContain("Stopped before the first word.");
    await turn.getByRole("button", { name: "Ask again" }).click();
    expect(await answerOf(page)).toBe("A white circle disappears.");
  });
});

test("the attention map is drawn over the picture, for the word that is chosen", async () => {
  await page.getByRole("button", { name: /What color is the star/ }).click();
  expect(await answerOf(page)).toBe("The star is blue.");
  const map = page.locator(".attention-map canvas");
  await map.waitFor();
  const words = page.getByRole("listbox", { name: "Words of the answer" });
  await words.focus();
  await words.press("End");
  expect(await page.getByRole("option", { name: "blue." }).getAttribute("aria-selected")).toBe("true");
  // The star is at the top left.
  await expect.poll(() => map.getAttribute("aria-label")).toContain("at the top, left");
  const colours = await map.evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    return new Set(Array.from({ length: data.length / 4 }, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size;
  });
  expect(colours).toBeGreaterThan(100);
  await page.getByLabel("Layers").selectOption({ label: "Layer 3" });
  await expect.poll(() => page.locator(".attention-map").getAttribute("aria-busy")).toBe("false");
  expect(await page.locator(".attention-map .fault").count()).toBe(0);
  expect(await violations(page)).toEqual([]);
  await demo.shoot(page, "attention map");
});

test("a question that is sent before the model is ready is asked as soon as it is", async () => {
  const tab = await demo.visit();
  await tab.getByLabel("Question", { exact: true }).fill("Hello!");
  await tab.keyboard.press("Enter");
  expect(await answerOf(tab)).toMatch(/^Hello!/);
  await tab.close();
});

describe("the conversation and the question box", () => {
  const SIZES = [
    { width: 1440, height: 900 },
    { width: 820, height: 1180 },
    { width: 390, height: 844 },
    { width: 844, height: 390 },
  ] as const;
  const box = (selector: string) => page.locator(selector).last().boundingBox();

  test("the newest answer stays above the box, and the reader may scroll away from it", async () => {
    await page.setViewportSize(SIZES[0]);
    await picker(page).setInputFiles(join(DRAWINGS, "00-shapes.png"));
    for (let i = 0; i < 10; i++) {
      await page.getByLabel("Question", { exact: true }).fill("What do you see?");
      await page.keyboard.press("Enter");
      await answerOf(page);
    }
    for (const size of SIZES) {
      await page.setViewportSize(size);
      const places = async () => {
        const [answer, composer] = [(await box(".answer .markdown"))!, (await box(".composer"))!];
        const isSeen = answer.y >= 0 && answer.y + answer.height <= composer.y;
        return { isSeen, isDocked: composer.y + composer.height <= size.height };
      };
      await expect.poll(places, { timeout: 5000 }).toEqual({ isSeen: true, isDocked: true });
      expect((await box(".conversation"))!.height).toBeGreaterThanOrEqual(size.height / 2);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
      await demo.shoot(page, `ten questions ${size.width}`);
    }
    const jump = page.getByRole("button", { name: "Jump to newest" });
    expect(await jump.count()).toBe(0);
    await page.locator(".conversation").evaluate((element) => element.scrollTo(0, 0));
    await jump.click();
    await expect.poll(() => jump.count()).toBe(0);
  });

  test("the options open over the page, and close by a key, a button and a click elsewhere", async () => {
    await page.setViewportSize(SIZES[2]);
    const open = page.getByRole("button", { name: "Options" });
    const sheet = page.getByRole("dialog", { name: "Options" });
    for (const close of [
      () => page.keyboard.press("Escape"),
      () => sheet.getByRole("button", { name: "Close" }).click(),
      () => page.mouse.click(200, 40),
    ]) {
      await open.click();
      await sheet.waitFor();
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
      expect(await violations(page)).toEqual([]);
      await close();
      await expect.poll(() => sheet.count()).toBe(0);
    }
  });
});

test("every panel fits into every width, and anybody can use it", async () => {
  await picker(page).setInputFiles(join(DRAWINGS, "13-clip.mp4"));
  await page.locator(".attachment[data-measured=true]").waitFor();
  for (const width of [320, 390, 820, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    for (const panel of ["Options", /^Model:/, "Conversations", "13-clip.mp4: details"]) {
      await page.getByRole("button", { name: panel, exact: true }).click();
      await page.getByRole("dialog").waitFor();
      const where = `${panel} at ${width}`;
      const wide = await page.evaluate(() => {
        const dialog = document.querySelector("dialog")!;
        return [document.documentElement.scrollWidth - innerWidth, dialog.scrollWidth - dialog.clientWidth];
      });
      expect(Math.max(...wide), where).toBeLessThanOrEqual(0);
      expect(await violations(page), where).toEqual([]);
      await page.keyboard.press("Escape");
      await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
    }
  }
  await page.getByRole("button", { name: "Remove 13-clip.mp4" }).click();
});

describe("everybody can use it", () => {
  test.each([
    ["on a wide light screen", { width: 1200, height: 800 }, "light"],
    ["on a phone in the dark", { width: 360, height: 740 }, "dark"],
  ] as const)("%s", async (_name, size, colorScheme) => {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
    await page.locator("button[data-kind=change]").first().click();
    await answerOf(page);
    expect(await violations(page)).toEqual([]);
    // Nothing is cut off at the side.
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    await demo.shoot(page, colorScheme);
    await page.getByRole("button", { name: /^Model:/ }).click();
    await page.getByRole("dialog").waitFor();
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
  });
});
