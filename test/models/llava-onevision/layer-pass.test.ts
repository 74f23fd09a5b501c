import { expect, test } from "vitest";
import { AbortedError } from "../../../src/base/errors.js";
import { KVCache } from "../../../src/layers/kv-cache.js";
import type { LayerPlan } from "../../../src/layers/layer-store.js";
import { type Chunk, passLayers } from "../../../src/models/llava-onevision/layer-pass.js";
import type { Arena } from "../../../src/runtime/arena.js";
import { useDevice } from "../../support/device.js";
import { randomDecoder, randomRows, RANDOM_TEXT as TEXT } from "../../support/random-decoder.js";

const held = useDevice();
const ROWS = 50;

async function decoder(plan?: LayerPlan) {
  const { device } = held;
  const { language, free } = await randomDecoder(device, plan);
  const cache = new KVCache(device, TEXT.layers, TEXT.keyValueHeads * TEXT.headSize);
  cache.reserve(ROWS + 1);
  return { language, cache, free };
}

const x = (owner: Arena, first: number, rows: number) =>
  owner.run(() => held.device.upload(randomRows(first, rows), [rows, TEXT.width], "x"));

/** Hidden states of rows in chunks, then of a row that follows, layer by layer. */
async function streamed(plan: LayerPlan, rows: readonly number[]) {
  const { device } = held;
  const { language, cache, free } = await decoder(plan);
  const owner = device.arena("test");
  const begin = (arena: Arena): Chunk[] => {
    let first = 0;
    return rows.map((count) => {
      const chunk = { x: x(arena, first, count), sequences: [{ cache, rows: count }], positions: [first] };
      first += count;
      return chunk;
    });
  };
  const hidden = await passLayers(language, [cache], begin, { owner, where: "prefill" });
  expect(cache.length).toBe(ROWS);
  const one = (arena: Arena): Chunk[] => [
    { x: x(arena, 3, 1), sequences: [{ cache, rows: 1 }], positions: [cache.length] },
  ];
  hidden.push(...(await passLayers(language, [cache], one, { owner, where: "generating" })));
  expect(cache.length).toBe(ROWS + 1);
  const values = [];
  for (const tensor of hidden) values.push(...(await tensor.read()));
  owner.dispose();
  cache.dispose();
  free();
  return values;
}

/** The same with layers that stay, chunk by chunk. */
async function resident(rows: readonly number[]) {
  const { device } = held;
  const { language, cache, free } = await decoder();
  const owner = device.arena("test");
  const values = [];
  let first = 0;
  for (const count of rows) {
    const hidden = owner.run(() => language.forward(x(owner, first, count), [{ cache, rows: count }]));
    values.push(...(await hidden.read()));
    first += count;
  }
  values.push(...(await owner.run(() => language.forward(x(owner, 3, 1), [{ cache, rows: 1 }])).read()));
  owner.dispose();
  cache.dispose();
  free();
  return values;
}

test.each([
  [{ resident: 0, slots: 2 }, [ROWS]],
  [{ resident: 0, slots: 2 }, [20, 17, 13]],
  [{ resident: 2, slots: 1 }, [49, 1]],
])("hidden states of %o in chunks of %j rows are those of layers that stay, bit by bit", async (plan, rows) => {
  expect(await streamed(plan, rows)).toEqual(await resident(rows));
});

test("an abort ends a pass, frees its memory and leaves the cache as it was", async () => {
  const { device } = held;
  const { language, cache, free } = await decoder({ resident: 0, slots: 2 });
  // The cache keeps its block table.
  void cache.table;
  const before = device.pool.liveBytes;
  const owner = device.arena("test");
  const controller = new AbortController();
  const done: number[] = [];
  const begin = (arena: Arena): Chunk[] => [
    { x: x(arena, 0, ROWS), sequences: [{ cache, rows: ROWS }], positions: [0] },
  ];
  const onLayer = (layer: number): void => {
    done.push(layer);
    if (layer === 2) controller.abort();
  };
  const pass = passLayers(language, [cache], begin, { owner, where: "prefill", signal: controller.signal, onLayer });
  await expect(pass).rejects.toThrow(AbortedError);
  expect(done).toEqual([1, 2]);
  expect(cache.length).toBe(0);
  expect(device.pool.liveBytes).toBe(before);
  // A cache that is disposed during a pass keeps its memory until its end.
  const disposed = passLayers(language, [cache], begin, { owner, where: "prefill", onLayer: () => cache.dispose() });
  await disposed;
  expect([cache.length, cache.capacity]).toEqual([0, 0]);
  owner.dispose();
  free();
  await device.sync();
  expect(device.pool.liveBytes).toBe(0);
});
