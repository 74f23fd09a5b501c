import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright";
import { builtPage } from "./built-page.js";
import { chromiumLaunch } from "./chromium.js";
import { ROOT } from "./cli.js";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".mp4": "video/mp4",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
};

/** Pages compute on the CPU, which other tests may be busy with. */
const PATIENCE_MS = 100_000;

/** What axe finds wrong with a page for people who do not see, hear or point as others do. */
export async function violations(page: Page): Promise<string[]> {
  // The page's own policy allows no other scripts: this one comes from outside, once.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(options: object): Promise<{ violations: Violation[] }> } };
    const { violations } = await axe.run({ rules: { "target-size": { enabled: true } } });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`);
  });
}

interface Violation {
  readonly id: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string }[];
}

const AXE = readFileSync(join(ROOT, "node_modules/axe-core/axe.min.js"), "utf8");

/** The page as it is built for a host of files, served under a folder of a server that counts what it sends. */
export class Demo {
  /** Bytes of bodies that were sent, by path below the page. */
  readonly sentBytes = new Map<string, number>();
  /** Bytes of weights that are sent in all, after which their connection stays open and silent. */
  stallAfterBytes = Number.POSITIVE_INFINITY;
  /** Whether a byte of the weights is another one. */
  corrupt = false;
  /** Whether connections are broken off: no network. */
  down = false;
  /** Addresses of other origins that the page asked for. */
  readonly foreign: string[] = [];
  /** What went wrong in a page. */
  readonly faults: string[] = [];
  private readonly contexts: BrowserContext[] = [];

  private constructor(
    readonly folder: string,
    readonly server: Server,
    readonly browser: Browser,
    readonly url: string,
  ) {}

  static async open(args: readonly string[] = []): Promise<Demo> {
    const folder = await builtPage();
    const launch = await chromiumLaunch();
    const browser = await chromium.launch({
      ...(launch.executablePath && { executablePath: launch.executablePath }),
      args: [...launch.args, ...args],
      env: launch.env,
    });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    // A folder, as on hosts of projects' pages: nothing may be asked for at the root.
    const demo = new Demo(folder, server, browser, `http://localhost:${port}/some/folder/`);
    server.on("request", ({ url = "/", headers }, response) => {
      void demo.answer(new URL(url, demo.url).pathname, headers.range, response);
    });
    return demo;
  }

  /** A visitor of their own storage, with a tab. */
  async visit(options: Parameters<Browser["newContext"]>[0] = {}, name = ""): Promise<Page> {
    const context = await this.browser.newContext(options);
    context.setDefaultTimeout(PATIENCE_MS);
    this.contexts.push(context);
    return this.tab(context, name);
  }

  /** Another tab of the same visitor. */
  async tab(context: BrowserContext, name = ""): Promise<Page> {
    const page = await context.newPage();
    page.on("pageerror", (error) => this.faults.push(String(error)));
    page.on("console", (message) => {
      // Chromium reports what the policy refuses as an error.
      if (message.type() === "error") this.faults.push(message.text());
    });
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol.startsWith("http") && origin !== new URL(this.url).origin) this.foreign.push(request.url());
    });
    await page.goto(this.url + name);
    return page;
  }

  /** A picture of a tab for people to look at, in a folder that is not part of the checkout. */
  async shoot(page: Page, name: string): Promise<void> {
    await page.screenshot({ path: join(ROOT, "screenshots", `${name}.png`), fullPage: true });
  }

  /** Bytes sent of all files whose path ends so. */
  sent(ending: string): number {
    return [...this.sentBytes].reduce((sum, [path, bytes]) => sum + (path.endsWith(ending) ? bytes : 0), 0);
  }

  async close(): Promise<void> {
    await this.browser.close();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(path: string, range: string | undefined, response: ServerResponse): Promise<void> {
    if (this.down) {
      response.destroy();
      return;
    }
    const base = new URL(this.url).pathname;
    const name = normalize(decodeURIComponent(path.slice(base.length))) || "index.html";
    const whole = path.startsWith(base)
      ? await readFile(join(this.folder, name === "." ? "index.html" : name)).catch(() => undefined)
      : undefined;
    if (!whole) {
      response.writeHead(404).end();
      return;
    }
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
    const start = Number(first ?? 0);
    const end = Math.min(Number(last || whole.length - 1), whole.length - 1) + 1;
    response.writeHead(first === undefined ? 200 : 206, {
      "content-type": TYPES[extname(name === "." ? "index.html" : name)] ?? "application/octet-stream",
      "content-length": end - start,
      "accept-ranges": "bytes",
      ...(first !== undefined && { "content-range": `bytes ${start}-${end - 1}/${whole.length}` }),
    });
    const weights = name.endsWith(".safetensors");
    const left = weights ? this.stallAfterBytes - this.sent(".safetensors") : Number.POSITIVE_INFINITY;
    if (weights && this.corrupt) whole[whole.length - 1]! ^= 1;
    const body = whole.subarray(start, Math.min(end, start + Math.max(0, left)));
    this.sentBytes.set(name, (this.sentBytes.get(name) ?? 0) + body.length);
    if (start + body.length < end) response.write(body);
    else response.end(body);
  }
}

/** Waits until the page has its model, or the one of a name; a model that can't be loaded fails with the page's words. */
export async function ready(page: Page, label?: string): Promise<void> {
  const status = page.locator(".model-status");
  const good = status.and(page.locator("[data-phase=ready]")).filter({ hasText: label ? `${label} is ready` : "" });
  const failed = status.and(page.locator("[data-phase=failed]"));
  await good.or(failed).waitFor();
  if ((await failed.count()) > 0) throw new Error(`The model failed: ${await failed.textContent()}`);
}

/** Opens the page in a browser of its own, and waits for its model. */
export async function openDemo(): Promise<{ demo: Demo; page: Page }> {
  const demo = await Demo.open();
  try {
    const page = await demo.visit();
    await ready(page);
    return { demo, page };
  } catch (cause) {
    await demo.close();
    throw cause;
  }
}

/** The input for pictures and clips. */
export function picker(page: Page): Locator {
  return page.locator("input[type=file][aria-label='Pictures and clips']");
}
