import { join } from "node:path";
import type { Page, Route } from "playwright";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";
import { type Demo, openDemo } from "../support/demo.js";

// A pasted address is a picture or clip that the visitor may load, after being asked.

const SQUARE = join(ROOT, "models/tiny/examples/00-shapes.png");
const SITE = "https://pictures.example";

let demo: Demo;
let page: Page;
beforeAll(async () => {
  ({ demo, page } = await openDemo());
  const cors = { "access-control-allow-origin": "*" };
  await page.route(`${SITE}/**`, (route: Route) => {
    const name = new URL(route.request().url()).pathname;
    if (name === "/square.png") return route.fulfill({ path: SQUARE, contentType: "image/png", headers: cors });
    if (name === "/page.html") return route.fulfill({ body: "<p>", contentType: "text/html", headers: cors });
    if (name === "/gone.png") return route.fulfill({ status: 404, headers: cors });
    // What a server that does not allow other origins looks like to a page.
    return route.abort("failed");
  });
});
afterAll(() => demo?.close());
beforeEach(() => {
  demo.foreign.length = 0;
});

async function paste(text: string): Promise<void> {
  await page.getByLabel("Question", { exact: true }).focus();
  await page.evaluate((text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text", text);
    document.activeElement!.dispatchEvent(
      new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }),
    );
  }, text);
}
const offer = () => page.getByRole("region", { name: "Pasted address" });

test("is requested only when it is confirmed", async () => {
  await paste(`${SITE}/square.png`);
  await offer().getByText("pictures.example").waitFor();
  expect(demo.foreign).toEqual([]);
  await demo.shoot(page, "pasted-address");
  await offer().getByRole("button", { name: "Load it" }).click();
  await page.getByRole("button", { name: "square.png: details" }).waitFor();
  expect(await offer().count()).toBe(0);
  expect(demo.foreign).toEqual([`${SITE}/square.png`]);
  await page.getByRole("button", { name: "Remove square.png" }).click();
});

test("is forgotten when it is cancelled", async () => {
  await paste(`${SITE}/square.png`);
  await offer().getByRole("button", { name: "Cancel" }).click();
  expect(await offer().count()).toBe(0);
  expect(demo.foreign).toEqual([]);
});

test.each([
  ["gone.png", /pictures\.example answered with status 404/],
  ["page.html", /sent text\/html, not a picture or clip/],
  ["private.png", /doesn't let other pages read its files/],
])("says why %s can't be loaded", async (name, reason) => {
  await paste(`${SITE}/${name}`);
  await offer().getByRole("button", { name: "Load it" }).click();
  await offer().getByRole("alert").getByText(reason).waitFor();
  await offer().getByRole("button", { name: "Cancel" }).click();
});

test("stays a text within a question", async () => {
  const question = page.getByLabel("Question", { exact: true });
  await question.fill("What is ");
  await paste(`${SITE}/square.png`);
  expect(await offer().count()).toBe(0);
  await question.fill("");
});
