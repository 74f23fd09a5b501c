// Runs one input, and judges the outcome: typed errors only, at most a second, memory of at most 4 times the input and 64 MB.

import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const MOST_MS = 1000;
const MOST_MEMORY_BYTES = 64 * 2 ** 20;
const MEMORY_OF_INPUT = 4;

// As with node --expose-gc, which worker threads do not take.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

const typed = await import(new URL("../../dist/base/errors.js", import.meta.url).href);

/** Bytes of an input, in the form in which it is kept in a file. */
export function bytesOf(input, kind) {
  if (kind === "bytes") return Buffer.from(input);
  return Buffer.from(kind === "json" ? (JSON.stringify(input) ?? "null") : input, "utf8");
}

/** The input that a file keeps. */
export function inputOf(bytes, kind) {
  if (kind === "bytes") return bytes;
  return kind === "json" ? JSON.parse(bytes.toString()) : bytes.toString();
}

/** Returns a find, `{ fault, detail }`, or undefined. Times are judged unless `timed` is false. */
export async function execute({ run, kind, memoryBytes = MOST_MEMORY_BYTES }, input, { timed = true } = {}) {
  const once = (...given) => outcome(...given, timed ? MOST_MS : Number.POSITIVE_INFINITY, memoryBytes);
  const first = await once(run, kind, input);
  if (first?.again !== true) return first;
  // Again, since other programs take time, and collections of garbage move memory.
  collect();
  const second = await once(run, kind, input);
  collect();
  const third = second?.again ? await once(run, kind, input) : undefined;
  return third?.again && third.fault === first.fault ? third : undefined;
}

async function outcome(run, kind, input, mostMs, mostBytes) {
  // Copies: a parser that keeps or changes its input would show.
  const given = kind === "bytes" ? new Uint8Array(input) : kind === "json" ? structuredClone(input) : input;
  const size = kind === "bytes" ? input.length : kind === "json" ? (JSON.stringify(input)?.length ?? 4) : input.length;
  const before = memory();
  const begun = performance.now();
  const cpu = process.cpuUsage();
  let thrown;
  try {
    await run(given);
  } catch (error) {
    thrown = error;
    if (!(error instanceof typed.OcellusError)) {
      return { fault: "untyped", detail: error instanceof Error ? `${error.stack}` : String(error) };
    }
  }
  // On a busy machine the clock says little, and collections of garbage have threads of their own.
  const { user, system } = process.cpuUsage(cpu);
  const took = Math.min(performance.now() - begun, (user + system) / 1000);
  const grown = memory() - before;
  if (thrown && thrown.message.length > 8500)
    return { fault: "long message", detail: `${thrown.message.length} characters` };
  if (took > mostMs) return { fault: "slow", detail: `${Math.round(took)} ms`, again: true };
  if (grown > MEMORY_OF_INPUT * size + mostBytes) {
    return { fault: "memory", detail: `${Math.round(grown / 2 ** 20)} MiB for ${size} bytes`, again: true };
  }
  return undefined;
}

/** Bytes allocated and not collected yet, in the heap and outside. */
function memory() {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}
