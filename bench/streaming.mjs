// Layers that stream, at the real 0.5B geometry with random weights, packed in 4 bits: a prompt and some tokens with all layers on the adapter, then
// within budgets that leave room for 40 % and 20 % of the layers, and for none. Compares the ids, the bytes on the adapter with the budget, the
// seconds of the prompt with those of layers that stay, and those of a token with the larger of computing and reading. Fails for other ids or a
// budget that is exceeded.
//
//   node bench/streaming.mjs [FOLDER] [--rows 1500] [--tokens 8]     FOLDER keeps the checkpoints (2.3 GB) for the next run
//
// With --geometry 7b the 28 layers of the 7B model, packed in 4 bits (5 GB), answer a question about a picture within one budget, and the bytes on
// the adapter, the host's memory and the seconds of a token are printed. Fails for a budget that is exceeded.
//
//   node bench/streaming.mjs [FOLDER] --geometry 7b [--budget 1.5GB] [--context 4096] [--tokens 16]
//
// Run `npm run build` before. OCELLUS_ADAPTER chooses the adapter.
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { LlavaOneVision } from "../dist/index.js";
import { writeRandomPacked } from "./random-packed.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: "string", default: "1500" },
    tokens: { type: "string" },
    geometry: { type: "string", default: "05b" },
    budget: { type: "string", default: "1.5GB" },
    context: { type: "string", default: "4096" },
  },
});
const is7B = values.geometry === "7b";
const [rows, tokens] = [Number(values.rows), Number(values.tokens ?? (is7B ? 16 : 8))];
const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const [given] = positionals;
const folder = given ?? (await mkdtemp(join(tmpdir(), "ocellus-streaming-")));
/** Without a picture: the vision tower stays on the adapter, but has nothing to do. */
const OPTIONS = { contextTokens: rows + tokens + 64, visionCacheBytes: 0 };
const SHARES = [0.4, 0.2, 0];
/** Of a picture that is no larger than a tile: itself, and the whole. */
const TILES = 2;

try {
  const packed = join(folder, is7B ? "packed-7b" : "packed");
  const stored = join(folder, is7B ? "headers-7b" : "stored");
  if (is7B && !existsSync(packed)) {
    node("scripts/make-checkpoint.mjs", stored, "--size", "7b", "--zeros");
    console.log(`${packed}: ${mega(await writeRandomPacked(stored, packed))}`);
  } else if (!existsSync(packed)) {
    if (!existsSync(stored)) node("scripts/make-checkpoint.mjs", stored, "--size", "0.5b");
    node("dist/cli/main.js", "convert", stored, packed, "--dtype", "q4", "--packed");
  }
  await (is7B ? answer7B(packed) : measure(packed));
} finally {
  if (!given) await rm(folder, { recursive: true, force: true });
}

async function measure(location) {
  const estimate = (more) => LlavaOneVision.estimate(location, { ...OPTIONS, tiles: 0, ...more });
  const { totalBytes, streaming: all } = await estimate({ readBytesPerSecond: "measured" });
  const rate = all.readBytes / all.readSeconds;
  const resident = await run(location, { ...OPTIONS });
  console.log(`${resident.adapter}; ${resident.rows} rows, ${tokens} tokens; load ${loadavg()[0].toFixed(1)}`);
  console.log(`layers ${mega(all.layers * all.layerBytes)} of ${mega(totalBytes)}; read at ${mega(rate)}/s`);
  row("budget", "layers that stay", "most bytes", "ids", "prompt", "a token", "compute, reading");
  row("none", `all ${all.layers}`, mega(resident.mostBytes), "", seconds(resident.prefill), seconds(resident.step), "");
  for (const share of SHARES) {
    const bytes = Math.ceil(all.leastBytes + share * all.layers * all.layerBytes);
    const { streaming } = await estimate({ memoryBudget: bytes });
    const got = await run(location, { ...OPTIONS, memoryBudget: { bytes, tiles: 0 }, weights: "stream" });
    const isSame = String(got.ids) === String(resident.ids);
    const isWithin = got.mostBytes <= bytes;
    if (!isSame || !isWithin) process.exitCode = 1;
    row(
      mega(bytes),
      `${streaming.residentLayers} of ${all.layers}`,
      `${mega(got.mostBytes)}${isWithin ? "" : ", over it"}`,
      isSame ? "the same" : "OTHERS",
      `${seconds(got.prefill)} (${percent(got.prefill, resident.prefill)})`,
      seconds(got.step),
      `${seconds(resident.step)}, ${seconds(streaming.readBytes / rate)}: ${percent(got.step, Math.max(resident.step, streaming.readBytes / rate))}`,
    );
  }
}

/** Answers a question about a small picture within the budget. */
async function answer7B(location) {
  const bytes = Number.parseFloat(values.budget) * 1e9;
  const options = { contextTokens: Number(values.context), visionCacheBytes: 0, cacheDtype: "f16" };
  const image = { width: 384, height: 64, data: randomBytes(384 * 64 * 3) };
  const { streaming } = await LlavaOneVision.estimate(location, { ...options, tiles: TILES, memoryBudget: bytes });
  console.log(
    `least budget ${mega(streaming.leastBytes)}; ${streaming.residentLayers} of ${streaming.layers} layers stay within ${mega(bytes)}; a token reads ${mega(streaming.readBytes)}`,
  );
  const begun = performance.now();
  const model = await LlavaOneVision.load(location, {
    ...options,
    memoryBudget: { bytes, tiles: TILES },
    weights: "stream",
  });
  const { pool, facts } = model.device;
  const loaded = (performance.now() - begun) / 1000;
  console.log(`${facts.name}; loaded in ${seconds(loaded)}; load ${loadavg()[0].toFixed(1)}`);
  try {
    const question = [
      { type: "image", image },
      { type: "text", text: "What is this?" },
    ];
    const answer = model.createSession().generate(question, {
      maxNewTokens: tokens,
      minNewTokens: tokens,
      drafts: false,
      onProgress: ({ stage, done, total }) => {
        if (process.stderr.isTTY) process.stderr.write(`\r${stage} ${done} of ${total}   `);
      },
    });
    const { tokens: ids, timings, promptTokens, usage } = await answer.result;
    const mostBytes = Math.max(pool.peakBytes, pool.reservedBytes);
    const isWithin = mostBytes <= bytes;
    if (!isWithin || ids.length !== tokens) process.exitCode = 1;
    console.log(`${promptTokens.length} rows, ${usage.tiles} tiles, ${ids.length} tokens: ${ids.join(" ")}`);
    console.log(`most bytes on the adapter ${mega(mostBytes)}${isWithin ? "" : ", over it"}`);
    // The memory of a CPU adapter is the process's.
    const resident = process.resourceUsage().maxRSS * 1024;
    console.log(
      `most memory of the process ${mega(resident)}; ${mega(resident - (facts.onCPU ? mostBytes : 0))} of it not the adapter's`,
    );
    console.log(
      `vision ${seconds(timings.vision)}, prefill ${seconds(timings.prefill)}, a token ${seconds(timings.decode / (ids.length - 1))}`,
    );
  } finally {
    model.dispose();
  }
}

/** Answers a prompt of words: its ids, seconds of the prompt and of a token, and most bytes on the adapter. */
async function run(location, options) {
  const model = await LlavaOneVision.load(location, options);
  const { pool, facts } = model.device;
  try {
    // Compiles the kernels.
    await model.createSession().generate("a", { maxNewTokens: 2, minNewTokens: 2, drafts: false }).result;
    const session = model.createSession();
    const word = (await session.measure("a a")).promptTokens - (await session.measure("a")).promptTokens;
    const frame = (await session.measure("a")).promptTokens - word;
    const text = Array.from({ length: Math.floor((rows - frame) / word) }, () => "a").join(" ");
    pool.peakBytes = pool.liveBytes;
    const answer = session.generate(text, { maxNewTokens: tokens, minNewTokens: tokens, drafts: false });
    const { tokens: ids, timings, promptTokens } = await answer.result;
    const step = timings.decode / (ids.length - 1);
    return {
      ids,
      rows: promptTokens.length,
      prefill: timings.prefill,
      step,
      mostBytes: Math.max(pool.peakBytes, pool.reservedBytes),
      adapter: facts.name,
    };
  } finally {
    model.dispose();
  }
}

function node(...args) {
  const [script, ...rest] = args;
  const { status } = spawnSync(process.execPath, [path(script), ...rest], { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`${script}: status ${status}`);
}

function row(...cells) {
  const widths = [9, 18, 12, 10, 17, 9, 30];
  console.log(cells.map((cell, i) => cell.padEnd(widths[i])).join(""));
}

function seconds(count) {
  return `${count.toPrecision(3)} s`;
}

function mega(bytes) {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function percent(part, whole) {
  return `${((100 * part) / whole).toFixed(0)} %`;
}
