import { readdirSync, readFileSync, statSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Rollup } from "vite";
import { expect, test } from "vitest";
import { builtPage } from "../support/built-page.js";
import { ROOT } from "../support/cli.js";

// What a visitor's browser fetches before anything is asked for.

const kilobytes = (code: string): number => gzipSync(code, { level: 9 }).length / 1000;
const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** The chunks that importing `entry` brings at once: itself and what it imports, dynamic imports aside. */
function atOnce(chunks: readonly Rollup.OutputChunk[], entry: Rollup.OutputChunk): Rollup.OutputChunk[] {
  const found = new Set([entry]);
  for (const { imports } of found) {
    for (const chunk of chunks) if (imports.includes(chunk.fileName)) found.add(chunk);
  }
  return [...found];
}

test("the library's core entry for browsers is under 130 kB gzipped, and asks for nothing of Node's", async () => {
  const asked = new Set<string>();
  const { output } = (await build({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    plugins: [
      {
        name: "imports",
        enforce: "pre",
        resolveId: (id) => {
          asked.add(id);
        },
      },
    ],
    build: {
      write: false,
      target: "es2022",
      minify: true,
      rolldownOptions: { input: "ocellus", preserveEntrySignatures: "strict" },
    },
  })) as Rollup.RollupOutput;
  const chunks = output.filter((part) => part.type === "chunk");
  const core = atOnce(chunks, chunks.find(({ isEntry }) => isEntry)!);
  const size = sum(core.map(({ code }) => kilobytes(code)));
  console.log(
    `core entry: ${size.toFixed(1)} kB gzipped, with all that is loaded later ${sum(chunks.map(({ code }) => kilobytes(code))).toFixed(1)} kB`,
  );
  expect(core[0]!.exports).toContain("LlavaOneVision");
  expect(size).toBeLessThan(130);
  expect([...asked].filter((id) => id.startsWith("node:") || builtinModules.includes(id))).toEqual([]);
});

test("the page's scripts at the start, its worker included, are under 200 kB gzipped", async () => {
  const folder = await builtPage();
  const files = readdirSync(folder, { recursive: true }) as string[];
  const read = (name: string): string => readFileSync(join(folder, name), "utf8");
  const initial = new Set<string>();
  const follow = (name: string): void => {
    if (initial.has(name)) return;
    initial.add(name);
    // Static imports only: what is imported later is a call.
    for (const [, from] of read(name).matchAll(/(?:from|import)\s*"\.\/([\w.-]+\.js)"/g)) follow(`assets/${from}`);
  };
  for (const [, name] of read("index.html").matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.js)"/g)) follow(name!);
  const own = sum([...initial].map((name) => kilobytes(read(name))));
  for (const name of files.filter((name) => /model-worker-.*\.js$/.test(name))) follow(name);
  const all = sum([...initial].map((name) => kilobytes(read(name))));
  console.log(`the page: ${own.toFixed(1)} kB gzipped, with its worker ${all.toFixed(1)} kB`);
  expect(own).toBeGreaterThan(10);
  expect(all).toBeGreaterThan(own + 50);
  expect(all).toBeLessThan(200);
  // Nothing of it is code in the page itself, which the policy would refuse.
  expect(read("index.html")).not.toMatch(/<script(?![^>]*\ssrc=)/);
  expect(read("index.html")).toMatch(/Content-Security-Policy" content="default-src &#39;none&#39;/);
});

test("all of the page, pictures and clips included, is under 1 MB gzipped without the weights", async () => {
  const folder = await builtPage();
  const files = (readdirSync(folder, { recursive: true }) as string[])
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && !path.endsWith(".safetensors"));
  const size = sum(files.map((path) => gzipSync(readFileSync(path), { level: 9 }).length / 1000));
  console.log(`all of the page: ${size.toFixed(1)} kB gzipped in ${files.length} files`);
  expect(size).toBeLessThan(1000);
  // What both the page and its workers import is in one file: mp4box, by the name of one of its boxes.
  const scripts = files.filter((path) => path.endsWith(".js")).map((path) => readFileSync(path, "utf8"));
  expect(scripts.filter((code) => code.includes("sgpd"))).toHaveLength(1);
});

test("no script imports one that a page or a worker begins with, and so runs it as well", async () => {
  const folder = join(await builtPage(), "assets");
  const scripts = readdirSync(folder).filter((name) => name.endsWith(".js"));
  const imported = scripts.flatMap((name) =>
    [...readFileSync(join(folder, name), "utf8").matchAll(/["`]\.\/([\w.-]+\.js)["`]/g)].map(([, from]) => from),
  );
  const begins = scripts.filter((name) => /^(index|bench|model-worker|bench-worker)-/.test(name));
  expect(begins.length).toBeGreaterThan(3);
  expect(imported.length).toBeGreaterThan(100);
  expect(imported.filter((name) => begins.includes(name!))).toEqual([]);
});
