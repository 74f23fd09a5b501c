// Bundlers: a page that asks about a picture and a clip in its own thread and about a picture in a worker, built without a warning and opened in
// a headless Chromium. The console stays empty, every request succeeds, and errors keep their names after minification.

import { spawn } from "node:child_process";
import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { launch, openPage, serveFolders } from "../open-page.mjs";

const PAGE = `
import { LlavaOneVision } from "ocellus";
import { WorkerModel } from "ocellus/worker";
export async function show(startWorker) {
  const tiny = new URL("/tiny/", document.baseURI);
  const blob = async (name) => (await fetch(new URL("examples/" + name, tiny))).blob();
  const picture = { type: "image", image: await blob("00-shapes.png") };
  const clip = { type: "video", video: await blob("12-clip.mp4"), frames: 4 };
  const ask = async (model, part) => {
    const { text } = await model.createSession().generate([part, { type: "text", text: "What do you see?" }]).result;
    return text;
  };
  const lines = [];
  const out = document.querySelector("#out");
  try {
    await LlavaOneVision.load("").catch((error) => lines.push(error.name));
    const model = await LlavaOneVision.load(tiny);
    lines.push(await ask(model, picture), await ask(model, clip));
    model.dispose();
    const worker = startWorker();
    const remote = await WorkerModel.load(worker, tiny);
    lines.push(await ask(remote, picture));
    remote.dispose();
    worker.terminate();
  } catch (error) {
    lines.push(error.name + ": " + error.message);
  }
  out.textContent = lines.join(" | ");
  out.dataset.done = "stop";
}
`;
const MAIN = `
import { show } from "./page.js";
show(() => new Worker(new URL("./model-worker.js", import.meta.url), { type: "module" }));
`;
const WORKER = `
import { serve } from "ocellus/worker";
serve(self);
`;
const html = (script) => `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><output id="out"></output>
<script type="module" src="${script}"></script>`;

/** The packages and the command of a bundler; `page` where it makes the page too, and `shown` where the guide has its configuration. */
const BUNDLERS = {
  vite: { packages: ["vite"], build: ["vite", "build"], page: "/main.js", shown: "vite.config.js" },
  webpack: {
    packages: ["webpack", "webpack-cli", "source-map-loader"],
    build: ["webpack"],
    // Source maps are read, so that one that leads nowhere is a warning.
    files: {
      "webpack.config.js": `export default {
  mode: "production", entry: "./main.js", devtool: "source-map", performance: { hints: false },
  module: { rules: [{ test: /\\.js$/, enforce: "pre", use: ["source-map-loader"] }] },
};`,
    },
  },
  esbuild: {
    packages: ["esbuild"],
    build: [
      ...["esbuild", "main.js", "model-worker.js", "--bundle", "--minify", "--format=esm", "--splitting"],
      ...["--target=es2022", "--outdir=dist"],
    ],
  },
  rollup: {
    packages: ["rollup", "@rollup/plugin-node-resolve", "@rollup/plugin-commonjs", "@rollup/plugin-terser"],
    build: ["rollup", "-c", "--failAfterWarnings"],
    shown: "rollup.config.js",
  },
  parcel: { packages: ["parcel"], build: ["parcel", "build", "index.html"], page: "main.js", shown: "package.json" },
};

/** How the bundlers announce warnings. */
const WARNING = /warning|⚠|\(!\)/i;

export async function run(context) {
  const browser = await launch(context.root);
  try {
    for (const name of Object.keys(BUNDLERS)) await bundled(name, { ...context, browser });
    await nextjs({ ...context, browser });
    await withoutBundler({ ...context, browser });
  } finally {
    await browser.close();
  }
}

let expected;

async function bundled(name, { root, command, project, ocellus, tiny, log, browser }) {
  const { packages, build, page, files, shown } = BUNDLERS[name];
  const blocks = await namedBlocks(join(root, "docs/guides/bundlers.md"));
  const folder = await project(name, {
    "page.js": PAGE,
    "main.js": MAIN,
    "model-worker.js": WORKER,
    [page ? "index.html" : "dist/index.html"]: html(page ?? "/main.js"),
    ...files,
    ...(shown && { [shown]: blocks.get(shown) }),
  });
  await command(folder, "npm", ["install", ocellus, tiny, ...packages]);
  const output = await command(folder, "npx", build, { NODE_ENV: "production", NO_COLOR: "1" });
  if (WARNING.test(output)) throw new Error(`${name}: ${output}`);
  const dist = join(folder, "dist");
  const server = await serveFolders([
    ["/tiny/", join(folder, "node_modules/@ocellus/tiny")],
    ["/", dist],
  ]);
  try {
    const text = await openPage(browser, `${server.url}index.html`);
    expected ??= text;
    if (text !== expected || !/^\w+Error \| /.test(text)) throw new Error(`${name}: expected ${expected}, got ${text}`);
    log(`${name} ${await version(folder, packages[0])}: ${await sizes(dist)}, ${text}`);
  } finally {
    server.close();
  }
}

/** The files of docs/guides/nextjs.md: a route of the server, and a worker of the page. */
async function nextjs({ root, command, project, firstUrl, ocellus, tiny, log, browser }) {
  const folder = await project("nextjs", {
    ...Object.fromEntries(await namedBlocks(join(root, "docs/guides/nextjs.md"))),
    "app/layout.tsx": `export default function Layout({ children }: { children: React.ReactNode }) {
  return <html lang="en"><head><link rel="icon" href="data:," /></head><body>{children}</body></html>;
}`,
  });
  const types = ["typescript@5", "@types/react", "@types/node@20"];
  await command(folder, "npm", [
    ...["install", ocellus, tiny, "next", "react", "react-dom", ...types],
    ...["webgpu@0.6", "@sparticuz/chromium@143"],
  ]);
  const checkpoint = join(folder, "node_modules/@ocellus/tiny");
  const name = "models/llava-onevision-qwen2-0.5b-ov-hf";
  for (const copy of [name, `public/${name}`]) await cp(checkpoint, join(folder, copy), { recursive: true });
  const photo = join(checkpoint, "examples/00-shapes.png");
  await cp(photo, join(folder, "public/photo.png"));
  const output = await command(folder, "npx", ["next", "build"], { NEXT_TELEMETRY_DISABLED: "1" });
  if (WARNING.test(output)) throw new Error(`nextjs: ${output}`);
  const server = spawn(process.execPath, ["node_modules/next/dist/bin/next", "start", "--port", "0"], { cwd: folder });
  try {
    const url = await firstUrl(server);
    const text = await openPage(browser, url);
    const form = new FormData();
    form.set("picture", new Blob([await readFile(photo)]));
    form.set("question", "What is in this picture?");
    const answer = await (await fetch(new URL("/api/ask", url), { method: "POST", body: form })).text();
    if (answer !== text || !/\w/.test(text)) throw new Error(`nextjs: in the page ${text}, on the server ${answer}`);
    log(`nextjs ${await version(folder, "next")}: ${await sizes(join(folder, ".next/static"))}, ${text}`);
  } finally {
    server.kill();
  }
}

/** The prebuilt bundles, as from a CDN: an import map names them, and nothing is built. */
async function withoutBundler({ command, project, ocellus, tiny, log, browser }) {
  const map = { imports: { ocellus: "/ocellus/ocellus.browser.js", "ocellus/worker": "/ocellus/ocellus.browser.js" } };
  const worker = 'new Worker("/ocellus/ocellus.worker.js", { type: "module" })';
  const folder = await project("cdn", {
    "page.js": PAGE,
    "main.js": `import { show } from "./page.js";\nshow(() => ${worker});`,
    "index.html": html("/main.js").replace(
      "<script",
      `<script type="importmap">${JSON.stringify(map)}</script>\n<script`,
    ),
  });
  await command(folder, "npm", ["install", ocellus, tiny]);
  const dist = join(folder, "node_modules/ocellus/dist");
  const server = await serveFolders([
    ["/tiny/", join(folder, "node_modules/@ocellus/tiny")],
    ["/ocellus/", dist],
    ["/", folder],
  ]);
  try {
    const text = await openPage(browser, `${server.url}index.html`);
    if (text !== expected) throw new Error(`without a bundler: expected ${expected}, got ${text}`);
    log(`without a bundler: ${text}`);
  } finally {
    server.close();
  }
}

/** The code blocks of a guide that name a file. */
async function namedBlocks(path) {
  const blocks = (await readFile(path, "utf8")).matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms);
  return new Map([...blocks].map(([, file, text]) => [file, text]));
}

async function version(folder, name) {
  return JSON.parse(await readFile(join(folder, "node_modules", name, "package.json"), "utf8")).version;
}

/** The scripts of a folder: files, and how many kB they are when gzipped. */
async function sizes(folder) {
  const names = (await readdir(folder, { recursive: true })).filter((name) => /\.m?js$/.test(name));
  let bytes = 0;
  for (const name of names) bytes += gzipSync(await readFile(join(folder, name))).length;
  return `${names.length} scripts, ${Math.round(bytes / 1000)} kB gzipped`;
}
