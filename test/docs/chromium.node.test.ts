import { execFileSync } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page as Tab } from "playwright";
import { afterAll, beforeAll, expect, test } from "vitest";
import { chromiumLaunch } from "../support/chromium.js";
import { ROOT } from "../support/cli.js";
import { DocsFolder } from "../support/docs-folder.js";
import { pageOf, writePage } from "../support/pages.js";
import { serveFolders } from "../support/static-server.js";

// The guides' pages, built with vite as they say or served as they are, and opened in a headless Chromium.

let browser: Browser;
beforeAll(async () => {
  // As `npm pack` does.
  execFileSync(process.execPath, ["scripts/bundle.mjs"], { cwd: ROOT });
  const { executablePath, args, env } = await chromiumLaunch();
  browser = await chromium.launch({ ...(executablePath && { executablePath }), args, env });
});
afterAll(() => browser?.close());

test("the page of docs/guides/page.md, bundled", async () => {
  await opened("docs/guides/page.md", "index.html", { bundled: true }, async (tab, folder) => {
    await tab.setInputFiles("#picture", join(folder.path, "photo.jpg"));
  });
});

test.each(["index.html", "import-map.html"])("%s of docs/guides/cdn.md, without a bundler", async (html) => {
  await opened("docs/guides/cdn.md", html, { bundled: false });
});

test("the page of examples, bundled", async () => {
  const folder = new DocsFolder();
  cpSync(join(ROOT, "examples/page"), folder.path, { recursive: true });
  await openedIn(folder, "index.html", { bundled: true }, async (tab) => {
    await tab.goto(`${tab.url()}?checkpoint=${new URL("/models/llava-onevision-qwen2-0.5b-ov-hf/", tab.url())}`);
    await tab.setInputFiles("#picture", join(folder.path, "photo.jpg"));
    await tab.click("#ask");
  });
});

test("the page of docs/guides/worker.md, bundled", async () => {
  await opened("docs/guides/worker.md", "index.html", { bundled: true });
});

/** Opens a page of a guide, does what a reader would do there, and waits for the end of the answer. */
async function opened(
  guide: string,
  html: string,
  how: { bundled: boolean },
  act: (tab: Tab, folder: DocsFolder) => Promise<void> = async () => {},
): Promise<void> {
  const folder = new DocsFolder();
  writePage(pageOf(guide), folder);
  await openedIn(folder, html, how, act);
}

async function openedIn(
  folder: DocsFolder,
  html: string,
  how: { bundled: boolean },
  act: (tab: Tab, folder: DocsFolder) => Promise<void>,
): Promise<void> {
  if (how.bundled) {
    const { build } = await import("vite");
    await build({ root: folder.path, logLevel: "error" });
  }
  const server = await serveFolders(how.bundled ? [join(folder.path, "dist"), folder.path] : [folder.path]);
  const tab = await browser.newPage();
  try {
    const wrong: string[] = [];
    tab.on("pageerror", (error) => wrong.push(String(error)));
    // A checkpoint need not have every config file.
    tab.on("response", (reply) => {
      const url = reply.url();
      if (!reply.ok() && !url.includes("/models/") && !url.endsWith("favicon.ico"))
        wrong.push(`${reply.status()} ${url}`);
    });
    await tab.goto(server.url + html);
    await act(tab, folder);
    const done = tab.locator("#answer[data-done]");
    while ((await done.count()) === 0 && wrong.length === 0) await tab.waitForTimeout(100);
    expect(wrong).toEqual([]);
    expect(await done.getAttribute("data-done")).toMatch(/^(stop|length)$/);
    expect(await done.textContent()).toMatch(/\w/);
  } finally {
    await tab.close();
    await server.close();
    folder.dispose();
  }
}
