import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";
import { commands, words } from "../support/code-blocks.js";
import { DocsFolder, freePort } from "../support/docs-folder.js";
import { compile, PAGES, type Page, writePage } from "../support/pages.js";
import { missingForQueue, RedisServer } from "../support/redis.js";

// Every code block of the README and the guides is run: programs are compiled with the project's strict settings and executed,
// commands must end well. test/docs/chromium.node.test.ts runs what is for a page.

const LANGUAGES = ["ts", "tsx", "js", "sh", "html", "json", "jsonl", "yaml", "nginx", "haproxy", "python"];

/** Pages over Redis: their programs and commands run where it is installed. */
const OVER_REDIS = ["docs/guides/queue.md"];
const missing = missingForQueue();
if (missing) console.log(`${OVER_REDIS.join(", ")}: not run, ${missing}`);

/** Pages whose program is for Chromium; only their files for Node run here. */
const IN_CHROMIUM = ["docs/guides/page.md", "docs/guides/worker.md"];

/** Commands that are not run here, and who runs them. Any other that does not begin with `npx ocellus` is an error. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "npm install && npm start": ".ci/run installs; test/cli runs `ocellus demo`, which is all that `npm start` does",
  "npm install && npm test": ".ci/run",
  "npm run demo": "serves until it is stopped; test/demo builds and opens the same page",
  "npm run demo:build": "test/demo",
  "npm install ../ocellus": "installs what DocsFolder puts there",
  "npx ocellus tune": "wants a GPU; test/bench/tune.test.ts",
  "python -m lmms_eval --model openai --model_args model_version=onevision,base_url=http://127.0.0.1:8080/v1 --tasks chartqa --batch_size 1":
    "wants Python, lmms-eval and a data set of the hub",
};

/** What is added to commands that would take minutes on a software adapter. */
const ADDED: Readonly<Record<string, readonly string[]>> = {
  "npx ocellus bench gemm --dtype f32,q8,q4": ["--list"],
  "npx ocellus bench serve http://127.0.0.1:8080 --prompts text": "--clients 1 --seconds 0.1 --tokens 4".split(" "),
};

/** The ports of the examples; others are taken here, since they may be in use. */
const PORT = /\b8080\b/g;
const REDIS_PORT = /\b6379\b/g;
/** Commands that run until they are stopped. */
const SERVERS = ["serve", "worker"];
const MAIN = join(ROOT, "dist/cli/main.js");

interface Started {
  readonly page: Page;
  readonly folder: DocsFolder;
  readonly port: number;
  readonly files: readonly string[];
}

const started: Started[] = [];
let redis: RedisServer | undefined;
let faults: string[] = [];

/** A page's text with the ports that are taken here. */
function withPorts(text: string, port: number): string {
  return text.replace(PORT, String(port)).replace(REDIS_PORT, String(redis?.port ?? 6379));
}

beforeAll(async () => {
  redis = missing ? undefined : await RedisServer.start();
  for (const page of PAGES) {
    const folder = new DocsFolder();
    const port = await freePort();
    const files = writePage(page, folder, (text) => withPorts(text, port));
    started.push({ page, folder, port, files });
  }
  faults = compile(started.flatMap(({ files }) => files));
});
afterAll(async () => {
  for (const { folder } of started) folder.dispose();
  await redis?.dispose();
});

test("blocks are in languages that are run or written to files", () => {
  const unknown = PAGES.flatMap(({ name, blocks }) =>
    blocks
      .filter(({ language }) => !LANGUAGES.includes(language))
      .map(({ line, language }) => `${name}:${line} ${language}`),
  );
  expect(unknown).toEqual([]);
  const nameless = PAGES.flatMap(({ name, blocks }) =>
    blocks
      .filter(({ language, file }) => !["ts", "js", "sh"].includes(language) && file === undefined)
      .map(({ line }) => `${name}:${line}`),
  );
  expect(nameless).toEqual([]);
});

test("programs compile with strict settings", () => {
  expect(faults).toEqual([]);
});

test("commands are known", () => {
  const unknown = PAGES.flatMap((page) => linesOf(page))
    .map(({ command }) => command)
    .filter((command) => !(command in ELSEWHERE) && !command.startsWith("npx ocellus "));
  expect(unknown).toEqual([]);
});

/** On SwiftShader each process takes seconds to compile its shaders. */
const PAGE_TIMEOUT_MS = 400_000;

describe.concurrent.each(PAGES.map(({ name }, i) => ({ name, i })))("$name", ({ name, i }) => {
  test.skipIf(missing && OVER_REDIS.includes(name))("runs", { timeout: PAGE_TIMEOUT_MS }, async () => {
    const { page, folder, port, files } = started[i]!;
    const env = { ...process.env, ...folder.env };
    const servers: Running[] = [];
    try {
      for (const { line, command } of linesOf(page)) {
        if (command in ELSEWHERE) continue;
        const args = [...words(command).slice(2), ...(ADDED[command] ?? [])].map((word) => withPorts(word, port));
        const running = new Running(`${name}:${line}`, [MAIN, ...args], folder.path, env);
        if (SERVERS.includes(args[0]!)) {
          servers.push(running);
          // Jobs wait for their worker.
          if (args[0] === "serve") await healthy(port, running);
        } else {
          await running.ends();
        }
      }
      const programs = files
        .map((file) => file.slice(folder.path.length + 1).replace(/\.ts$/, ".js"))
        .filter((file) => (IN_CHROMIUM.includes(name) ? file.startsWith("node-main") : file === `${page.program}.js`));
      for (const file of programs) await new Running(`${name}, ${file}`, [file], folder.path, env).ends();
      for (const server of servers) await server.stops();
    } finally {
      for (const server of servers) server.kill();
    }
  });
});

function linesOf(page: Page): { line: number; command: string }[] {
  return page.blocks.filter(({ language }) => language === "sh").flatMap(commands);
}

/** A program of Node under way. */
class Running {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #output = "";

  constructor(
    readonly name: string,
    args: readonly string[],
    cwd: string,
    env: NodeJS.ProcessEnv,
  ) {
    this.#child = spawn(process.execPath, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
      });
    }
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", resolve);
    });
  }

  get over(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Waits for its end, which must be a good one. */
  async ends(): Promise<void> {
    const code = await this.#ended;
    expect(code, `${this.name}\n${this.#output}`).toBe(0);
  }

  /** Asks it to end. */
  async stops(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.ends();
  }

  kill(): void {
    if (!this.over) this.#child.kill("SIGKILL");
  }
}

/** Waits until the server says that it is well. */
async function healthy(port: number, server: Running): Promise<void> {
  while (!server.over) {
    const response = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await server.ends();
  throw new Error(`${server.name} ended before it was asked to`);
}
