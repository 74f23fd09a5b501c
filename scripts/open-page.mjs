// Opens a page in a headless Chromium with WebGPU on SwiftShader and waits for its verdict: the text of `#out` once it has `data-done`.
// Everything the console reports, every page error and every response that is not one is a fault.

import { open, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright";

const TYPES = {
  ".html": "text/html",
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
};
const WAIT_MS = 300_000;

/** Serves files, the first folder that has one first, with byte ranges. `folders` are [path under the root, folder]. */
export async function serveFolders(folders) {
  const server = createServer(async ({ url, headers }, response) => {
    const name = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname));
    for (const [prefix, folder] of folders) {
      if (!name.startsWith(prefix)) continue;
      const path = join(folder, name.slice(prefix.length));
      const found = await stat(path).catch(() => undefined);
      if (!found?.isFile()) continue;
      const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "");
      const start = Number(range?.[1] ?? 0);
      const end = Math.min(Number(range?.[2] || found.size - 1), found.size - 1);
      response.writeHead(range ? 206 : 200, {
        "content-type": TYPES[extname(path)] ?? "application/octet-stream",
        "content-length": end - start + 1,
        "access-control-allow-origin": "*",
        ...(range && { "content-range": `bytes ${start}-${end}/${found.size}` }),
      });
      (await open(path)).createReadStream({ start, end }).pipe(response);
      return;
    }
    response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${server.address().port}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Starts the browser. `root` is the repository, whose build finds and unpacks the Chromium of @sparticuz/chromium. */
export async function launch(root) {
  const platform = (name) => import(pathToFileURL(join(root, "dist/platform", name)).href);
  const { findChromiumPackage } = await platform("node-swiftshader.js");
  const { readArchive, unpackOnce } = await platform("node-unpack.js");
  const args = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--no-sandbox"];
  const found = findChromiumPackage();
  if (!found) return chromium.launch({ args });
  const archives = ["chromium.br", "swiftshader.tar.br", "al2023.tar.br"].map((name) => join(found.bin, name));
  const files = async () => (await Promise.all(archives.map(readArchive))).flat();
  const folder = await unpackOnce(`chromium-${found.version}`, files);
  const env = { ...process.env, LD_LIBRARY_PATH: join(folder, "lib") };
  return chromium.launch({ executablePath: join(folder, "chromium"), args, env });
}

/** Returns the page's verdict. Throws the page's faults. */
export async function openPage(browser, url) {
  const page = await browser.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(`console: ${message.text()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`);
  });
  try {
    await page.goto(url);
    await page.waitForSelector("#out[data-done]", { timeout: WAIT_MS, state: "attached" }).catch(() => {
      faults.push(`no verdict after ${WAIT_MS / 1000} s`);
    });
    const text = await page.textContent("#out");
    if (faults.length > 0) throw new Error(`${[...new Set(faults)].join("\n")}\n${text}`);
    return text;
  } finally {
    await page.close();
  }
}
