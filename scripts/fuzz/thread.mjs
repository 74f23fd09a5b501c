// Fuzzes one target in a worker thread: the parent ends it if it hangs, and has the input in shared memory.

import { parentPort, workerData } from "node:worker_threads";
import { Coverage } from "./coverage.mjs";
import { bytesOf, execute } from "./execute.mjs";
import { minimised } from "./minimise.mjs";
import { mutateBytes, mutateJson, mutateText, random } from "./mutate.mjs";
import { MOST_BYTES, TARGETS } from "./targets.mjs";

/** Inputs between two readings of the coverage, which takes milliseconds. */
const BATCH = 24;
const MOST_INPUTS = 3000;
const MOST_FINDS = 20;

const { name, seconds, seed, shared } = workerData;
const state = new Int32Array(shared, 0, 3);
const current = new Uint8Array(shared, 12);

const target = await TARGETS[name]();
const { kind, words } = target;
const coverage = new Coverage();
const corpus = [...target.seeds];
const finds = new Map();
let executions = 0;

/** Executes an input; the parent can see it, and since when. */
async function watched(input) {
  const bytes = bytesOf(input, kind).subarray(0, current.length);
  current.set(bytes);
  Atomics.store(state, 1, bytes.length);
  Atomics.store(state, 0, (Date.now() & 0x3fffffff) + 1);
  executions++;
  Atomics.store(state, 2, executions);
  const found = await execute(target, input);
  Atomics.store(state, 0, 0);
  return found;
}

function mutated(next) {
  const base = corpus[Math.floor(next() * corpus.length)];
  const options = { others: corpus, words, most: MOST_BYTES };
  if (kind === "bytes") return mutateBytes(base, next, options);
  return kind === "json" ? mutateJson(base, next, options) : mutateText(base, next, options);
}

async function note(found, input, number) {
  const where = found.fault === "untyped" ? `${/^\s+at .*$/m.exec(found.detail)?.[0] ?? ""}` : "";
  const key = `${found.fault} ${found.detail.slice(0, 60).replace(/\d+/g, "#")} ${where}`;
  if (finds.has(key) || finds.size >= MOST_FINDS) return;
  finds.set(key, true);
  const small = await minimised(target, input, found, watched);
  parentPort.postMessage({ find: { ...found, number, bytes: bytesOf(small, kind) } });
}

for (const input of corpus) {
  const found = await watched(input);
  if (found) await note(found, input, -1);
}
coverage.add(coverage.take());

const end = performance.now() + seconds * 1000;
for (let number = 0; performance.now() < end; ) {
  const batch = [];
  for (let i = 0; i < BATCH && performance.now() < end; i++, number++) {
    const input = mutated(random(seed * 1_000_003 + number));
    batch.push(input);
    const found = await watched(input);
    if (found) await note(found, input, number);
  }
  const fresh = new Set(coverage.take());
  if (fresh.size === 0) continue;
  // Which of them it was.
  for (const input of batch) {
    await watched(input);
    const reached = coverage.take().filter((block) => fresh.has(block));
    if (reached.length === 0) continue;
    coverage.add(reached);
    if (corpus.length < MOST_INPUTS) corpus.push(input);
  }
  coverage.add(fresh);
}
parentPort.postMessage({ done: { executions, blocks: coverage.blocks, corpus: corpus.length } });
