import { join } from "node:path";
import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { staticHub } from "../../demo/static-hub.js";
import { ROOT } from "../support/cli.js";
import { Demo, ready } from "../support/demo.js";

// Other models and other pictures than those that the page brings: from the hub, from a folder, from the camera.

const TINY = join(ROOT, "models/tiny");
const HUB = "https://huggingface.co";
const NAME = "somebody/their-fine-tune";

let demo: Demo;
beforeAll(async () => {
  // A camera that shows a drawing which moves, and nobody who has to allow it.
  demo = await Demo.open(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
});
afterAll(() => demo?.close());

async function hello(page: Page): Promise<string | null> {
  await page.getByLabel("Question", { exact: true }).fill("Hello!");
  await page.getByLabel("Question", { exact: true }).press("Enter");
  await page.locator(".turn[data-phase=done]").last().waitFor();
  return page.locator(".answer .markdown").last().textContent();
}

test("a model of the hub: what it takes, its download, and the conversation that goes on with it", async () => {
  const page = await demo.visit();
  const context = page.context();
  const files = staticHub(TINY, NAME);
  const asked: string[] = [];
  await context.route(`${HUB}/**`, async (route) => {
    const url = new URL(route.request().url());
    asked.push(url.pathname);
    const content = files.get(url.pathname.slice(1));
    if (content === undefined) return route.fulfill({ status: 404, headers: { "x-error-code": "EntryNotFound" } });
    const whole = Buffer.from(content);
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(route.request().headers().range ?? "") ?? [];
    const start = Number(first ?? 0);
    const end = Math.min(Number(last || whole.length - 1), whole.length - 1) + 1;
    return route.fulfill({
      status: first === undefined ? 200 : 206,
      body: whole.subarray(start, end),
      headers: {
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "content-range, content-length",
        "accept-ranges": "bytes",
        ...(first !== undefined && { "content-range": `bytes ${start}-${end - 1}/${whole.length}` }),
      },
    });
  });
  await ready(page, "Tiny (embedded)");
  const first = await hello(page);
  expect(asked).toEqual([]);
  await page.getByRole("button", { name: /^Model:/ }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Repository").fill(NAME);
  await dialog.getByRole("button", { name: "What will it take?" }).click();
  const rows = dialog.locator("table[aria-label='What it takes'] tbody tr");
  await expect.poll(() => rows.count()).toBe(3);
  expect(await rows.first().locator("td").allTextContents()).toEqual(["10 MB", expect.stringMatching(/^\d+ MB$/)]);
  await dialog.getByLabel("Weights").selectOption("as stored: exact");
  await dialog.getByRole("button", { name: "Download and load" }).click();
  await ready(page, NAME);
  expect(asked.some((path) => path.endsWith("model.safetensors"))).toBe(true);
  // The conversation is the page's.
  expect(await page.locator(".turn").count()).toBe(1);
  await page.getByRole("button", { name: "New conversation" }).click();
  expect(await hello(page)).toBe(first);
  expect(demo.foreign.every((url) => url.startsWith(`${HUB}/`))).toBe(true);
  expect(demo.faults).toEqual([]);
  await context.close();
});

describe("a visitor", () => {
  let page: Page;
  beforeAll(async () => {
    page = await demo.visit({ permissions: ["camera"] });
    await ready(page, "Tiny (embedded)");
  });
  afterAll(() => page?.context().close());

  test("a model from a folder, and one that is broken", async () => {
    await page.getByRole("button", { name: /^Model:/ }).click();
    const folder = page.getByLabel("Folder of a checkpoint");
    await folder.setInputFiles(join(ROOT, "docs/guides"));
    expect(await page.getByRole("dialog").locator(".fault").textContent()).toContain("no .safetensors file");
    await folder.setInputFiles(TINY);
    await ready(page, "tiny");
    expect(await hello(page)).toMatch(/\w/);
    // Dropped anywhere, a file of weights alone is no checkpoint.
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(8)], "model.safetensors"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    });
    const failed = page.locator(".model-status [data-code=CHECKPOINT]");
    await failed.waitFor();
    expect(await failed.textContent()).toContain("no such file beside model.safetensors");
    // The model before is still there, and answers.
    expect(await hello(page)).toMatch(/\w/);
    await failed.getByRole("button", { name: "Keep tiny" }).click();
    await ready(page, "tiny");
    await page.getByRole("button", { name: /^Model:/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Load Tiny" }).click();
    await ready(page, "Tiny (embedded)");
  });

  test("a model from a folder that is dropped", async () => {
    const cdp = await page.context().newCDPSession(page);
    for (const type of ["dragEnter", "dragOver", "drop"] as const) {
      if (type === "drop") await page.getByText("Drop pictures, clips, or a model").waitFor();
      const data = { items: [], files: [TINY], dragOperationsMask: 1 };
      await cdp.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
    }
    await ready(page, "tiny");
    expect(await hello(page)).toMatch(/\w/);
  });

  test("a picture of the camera", async () => {
    await page.getByRole("button", { name: "Camera", exact: true }).click();
    await page.getByRole("button", { name: "Take the picture" }).click();
    const picture = page.locator(".attachment[data-measured=true]");
    await picture.waitFor();
    await page.getByRole("button", { name: "camera.png: details" }).click();
    await page
      .getByRole("dialog", { name: "camera.png" })
      .getByText(/640 × 480, whole and \d × \d tiles/)
      .waitFor();
  });
});
