// npm run fuzz [target …] [-- --seconds N] [--seed N]: fuzzes the parsers of `dist`; --seconds is for all targets together.
//
// Coverage-guided: inputs that reach new blocks, as V8 counts them, are mutated further. Finds are made small and written to fuzz-finds/;
// `npm run fuzz png -- --input FILE` executes one. Exits with 1 if there are any.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { MOST_BYTES, TARGETS } from "./targets.mjs";

const FINDS = fileURLToPath(new URL("../../fuzz-finds/", import.meta.url));
/** An input that takes longer hangs; one of over a second is a find that the thread itself reports. */
const HANG_MS = 30_000;
const DEFAULT_SECONDS = 60;
const HEAP_MB = 1024;
const EXTENSIONS = { bytes: "bin", json: "json", text: "txt" };

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string" }, seed: { type: "string" }, input: { type: "string" } },
});
// npm takes options without `--` for its own: it passes their names on in the environment, and their values as arguments.
const numbers = positionals.filter((text) => /^\d+$/.test(text));
const given = (name) => {
  const value = process.env[`npm_config_${name}`];
  return value === "true" ? numbers.shift() : value;
};
values.seconds ??= given("seconds");
values.seed ??= given("seed");
const asked = positionals.filter((text) => !/^\d+$/.test(text));
const names = asked.length > 0 ? asked : Object.keys(TARGETS);
for (const name of names) {
  if (Object.hasOwn(TARGETS, name)) continue;
  console.error(`${name}: expected one of ${Object.keys(TARGETS).join(", ")}`);
  process.exit(2);
}

if (values.input !== undefined) {
  const { execute, inputOf } = await import("./execute.mjs");
  const target = await TARGETS[names[0]]();
  const found = await execute(target, inputOf(readFileSync(values.input), target.kind));
  console.log(found ? `${found.fault}: ${found.detail}` : "no fault");
  process.exit(found ? 1 : 0);
}

const seconds = Number(values.seconds ?? DEFAULT_SECONDS) / names.length;
const seed = Number(values.seed ?? 1);
let finds = 0;
let total = 0;
for (const name of names) {
  const begun = performance.now();
  const { executions, blocks, corpus } = await fuzz(name);
  total += executions;
  const took = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(
    `${name.padEnd(20)} ${String(executions).padStart(9)} executions ${took.padStart(7)} s  ${blocks} new blocks, ${corpus} inputs`,
  );
}
console.log(`${total} executions, ${finds} finds; seed ${seed}`);
process.exit(finds > 0 ? 1 : 0);

/** Fuzzes a target in a thread of its own. */
function fuzz(name) {
  const shared = new SharedArrayBuffer(12 + 8 * MOST_BYTES);
  const state = new Int32Array(shared, 0, 3);
  const worker = new Worker(new URL("./thread.mjs", import.meta.url), {
    workerData: { name, seconds, seed, shared },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  const current = async () => {
    const { kind } = await TARGETS[name]();
    return { kind, bytes: Buffer.from(new Uint8Array(shared, 12, Atomics.load(state, 1))) };
  };
  return new Promise((resolve) => {
    let outcome;
    const watch = setInterval(async () => {
      const since = Atomics.load(state, 0);
      if (since === 0 || (Date.now() & 0x3fffffff) + 1 - since < HANG_MS) return;
      clearInterval(watch);
      write(name, { fault: "hang", detail: `over ${HANG_MS} ms`, number: 0, ...(await current()) });
      await worker.terminate();
    }, 500);
    worker.on("message", ({ find, done }) => {
      if (done) outcome = done;
      if (find) TARGETS[name]().then(({ kind }) => write(name, { ...find, kind }));
    });
    worker.on("error", async (error) => {
      write(name, { fault: "crash", detail: `${error.stack ?? error}`, number: 0, ...(await current()) });
    });
    worker.on("exit", () => {
      clearInterval(watch);
      setTimeout(() => resolve(outcome ?? { executions: Atomics.load(state, 2), blocks: 0, corpus: 0 }), 50);
    });
  });
}

/** Writes a find to its file and says how to execute it again. */
function write(name, { fault, detail, kind, bytes, number }) {
  finds++;
  const content = Buffer.from(bytes);
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 8);
  mkdirSync(FINDS, { recursive: true });
  const path = join(FINDS, `${name}-${hash}.${EXTENSIONS[kind]}`);
  writeFileSync(path, content);
  console.log(
    `${name}: ${fault} (input ${number}, ${content.length} bytes): ${detail.split("\n").slice(0, 4).join(" | ")}`,
  );
  console.log(`  npm run fuzz ${name} -- --input ${path}`);
}
