import type { Page } from "playwright";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Demo, openDemo, picker } from "../support/demo.js";

// Numbered marks are set on a picture and reach the model's pixels.

let demo: Demo;
let page: Page;
beforeAll(async () => {
  ({ demo, page } = await openDemo());
});
afterAll(async () => {
  expect(demo?.faults).toEqual([]);
  await demo?.close();
});

/** Opens a grey picture of 200 by 100 pixels in the dialog that sets marks. */
async function open(): Promise<void> {
  const grey = { width: 200, height: 100, channels: 3 as const, background: { r: 128, g: 128, b: 128 } };
  const buffer = await sharp({ create: grey }).png().toBuffer();
  await picker(page).setInputFiles({ name: "grey.png", mimeType: "image/png", buffer });
  await page.getByRole("button", { name: "grey.png: details" }).click();
  await page.locator(".mark-area img").waitFor();
}

/** Levels of the picture that the model gets, along the middle row from one share of its width to another. */
function levels(selector: string, from: number, to = from): Promise<number[]> {
  return page
    .locator(`${selector} .thumbnail img`)
    .last()
    .evaluate(
      async (shown: HTMLImageElement, [from, to]) => {
        await shown.decode();
        const canvas = new OffscreenCanvas(shown.naturalWidth, shown.naturalHeight);
        const context = canvas.getContext("2d")!;
        context.drawImage(shown, 0, 0);
        const width = Math.round((to! - from!) * canvas.width) + 1;
        const { data } = context.getImageData(Math.round(from! * canvas.width), canvas.height / 2, width, 1);
        return Array.from({ length: width }, (_, i) => data[4 * i]!);
      },
      [from, to],
    );
}

/** Whether a row has the black and white of a number. */
const isLabel = (row: readonly number[]): boolean => Math.min(...row) < 50 && Math.max(...row) > 200;

test("set by the mouse, moved by it, and sent with the question", async () => {
  await open();
  const area = (await page.locator(".mark-area").boundingBox())!;
  const at = (x: number) => [area.x + x * area.width, area.y + area.height / 2] as const;
  await page.mouse.click(...at(0.25));
  await page.mouse.click(...at(0.5));
  await page.mouse.move(...at(0.5));
  await page.mouse.down();
  await page.mouse.move(...at(0.75), { steps: 5 });
  await page.mouse.up();
  expect(await page.locator(".mark").count()).toBe(2);
  await expect.poll(async () => isLabel(await levels(".attachment", 0.7, 0.8))).toBe(true);
  expect(await levels(".attachment", 0.5)).toEqual([128]);
  await page.keyboard.press("Escape");
  await page.getByLabel("Question", { exact: true }).fill("What is mark 2?");
  await page.getByLabel("Question", { exact: true }).press("Enter");
  await page.locator(".turn[data-phase=done]").waitFor();
  expect(isLabel(await levels(".question", 0.2, 0.3))).toBe(true);
  expect(await page.locator(".answer").textContent()).toMatch(/^Mark \d is /);
  await page.getByRole("button", { name: "New conversation" }).click();
});

test("set, moved, sized and removed by the keyboard", async () => {
  await open();
  const dialog = page.getByRole("dialog", { name: "grey.png" });
  await dialog.getByRole("button", { name: "Add in the middle" }).press("Enter");
  const mark = dialog.getByRole("button", { name: /^Mark 1/ });
  for (let i = 0; i < 10; i++) await mark.press("ArrowLeft");
  expect(await mark.getAttribute("aria-label")).toBe("Mark 1 at 30 % from the left, 50 % from the top");
  await dialog.getByRole("button", { name: "Boxes" }).press("Enter");
  await dialog.getByRole("button", { name: "Add in the middle" }).press("Enter");
  const drawn = dialog.getByRole("button", { name: /^Box 2/ });
  for (let i = 0; i < 5; i++) await drawn.press("Shift+ArrowRight");
  for (let i = 0; i < 10; i++) await drawn.press("ArrowRight");
  expect(await drawn.getAttribute("aria-label")).toBe("Box 2 at 70 % from the left, 50 % from the top");
  await demo.shoot(page, "marks");
  // The number, and the box's white line on both sides of its middle.
  await expect.poll(async () => isLabel(await levels(".attachment", 0.27, 0.33))).toBe(true);
  await expect
    .poll(async () => (await Promise.all([0.5, 0.7, 0.9].map((x) => levels(".attachment", x)))).flat())
    .toEqual([255, 128, 255]);
  await drawn.press("Delete");
  await expect.poll(() => dialog.locator(".mark").count()).toBe(1);
  await expect.poll(() => levels(".attachment", 0.5)).toEqual([128]);
  await dialog.getByRole("button", { name: "Remove all" }).click();
  await expect.poll(() => levels(".attachment", 0.3)).toEqual([128]);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Remove grey.png" }).click();
});
