// Decode throughput of 1 to 16 sequences that generate at once, at the real 0.5B geometry with random weights and 1,000 tokens in each
// cache: tokens per second of all, and per second of all the cores that the process had, against one sequence in the same run.
// Run `npm run build` before; OCELLUS_ADAPTER chooses the adapter.
//
//   node bench/batching.mjs [f16,q4] [1,2,4,8,16]
import { GEOMETRY_05B } from "../dist/bench/geometries.js";
import { loadModel } from "../dist/bench/loaded-model.js";
import { KVCache } from "../dist/layers/kv-cache.js";
import { KVPool } from "../dist/layers/kv-pool.js";
import { AdaptiveSteps } from "../dist/models/chat/adaptive-steps.js";
import { Batching } from "../dist/models/chat/batching.js";
import { decode } from "../dist/models/chat/decoding.js";
import { Device } from "../dist/runtime/device.js";

const types = (process.argv[2] ?? "f16,q4").split(",");
const counts = (process.argv[3] ?? "1,2,4,8,16").split(",").map(Number);
const CACHED = 1000;
const TOKENS = 8;
const ROUNDS = 2;

const device = await Device.open();
console.log(device.facts.name);
// The tower is not used.
const geometry = { ...GEOMETRY_05B, vision: { ...GEOMETRY_05B.vision, layers: 1 } };
const { text } = geometry;

for (const type of types) {
  const model = await loadModel(device, type, { geometry });
  const batching = new Batching(model.network);
  const sizes = [text.layers, text.keyValueHeads * text.headSize, "f16"];
  const pool = new KVPool(device, ...sizes);
  const caches = Array.from({ length: Math.max(...counts) }, () => {
    const cache = new KVCache(device, ...sizes, text.maxPositions, pool);
    cache.reserve(CACHED + TOKENS + 64);
    return cache;
  });
  /** Milliseconds, and those of the cores, of TOKENS tokens of as many sequences, after the first token of each. */
  const measure = async (sequences) => {
    const owner = device.arena("batching");
    let begun = 0;
    let started;
    let cores;
    const all = caches.slice(0, sequences).map(async (cache, seed) => {
      cache.length = CACHED;
      const logits = owner.run(() => device.upload(noise(text.vocabulary, seed), [1, text.vocabulary], "logits"));
      const options = { allowed: text.vocabulary, eosTokens: [], maxNewTokens: TOKENS + 1, batching };
      const choices = decode(model.network, cache, logits, owner, {
        ...options,
        adaptiveSteps: new AdaptiveSteps(),
        check: () => {},
      });
      let tokens = 0;
      for await (const _ of choices) {
        if (tokens++ > 0 || ++begun < sequences) continue;
        started = performance.now();
        cores = process.cpuUsage();
      }
    });
    await Promise.all(all);
    const ms = performance.now() - started;
    const { user, system } = process.cpuUsage(cores);
    owner.dispose();
    return [ms, (user + system) / 1000];
  };
  const best = new Map(counts.map((count) => [count, [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const count of counts) {
      const measured = await measure(count);
      // The first round compiles.
      if (round > 0)
        best.set(
          count,
          measured.map((ms, i) => Math.min(ms, best.get(count)[i])),
        );
    }
  }
  const rate = (count, i) => (count * TOKENS * 1000) / best.get(count)[i];
  for (const count of counts) {
    const [wall, cores] = [0, 1].map((i) => {
      const ratio = (rate(count, i) / rate(counts[0], i)).toFixed(2);
      return `${rate(count, i).toFixed(1).padStart(6)}  ${ratio}×`;
    });
    console.log(`${type}  ${String(count).padStart(2)} sequences  tokens/s ${wall}   by the cores' time ${cores}`);
  }
  for (const cache of caches) cache.dispose();
  model.dispose();
}
device.dispose();
process.exit(0);

function noise(count, seed) {
  return Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * (seed + 1.7)));
}
