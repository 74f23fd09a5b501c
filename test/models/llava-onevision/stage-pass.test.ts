import { expect, test } from "vitest";
import { AbortedError, DeviceLostError } from "../../../src/base/errors.js";
import { DividedKVCache } from "../../../src/layers/divided-kv-cache.js";
import type { Chunk } from "../../../src/models/llava-onevision/layer-pass.js";
import { passStages } from "../../../src/models/llava-onevision/stage-pass.js";
import type { Arena } from "../../../src/runtime/arena.js";
import { Device } from "../../../src/runtime/device.js";
import { useDevice } from "../../support/device.js";
import { randomDecoder, randomRows, RANDOM_TEXT as TEXT } from "../../support/random-decoder.js";

const held = useDevice();
const second = useDevice({ f16: true });
const third = useDevice({ matrices: true });
const ROWS = 50;
const KEYS = TEXT.keyValueHeads * TEXT.headSize;

/** A decoder with its last layers on other devices, and a cache of a sequence. */
async function divided(layers: readonly number[], devices: readonly Device[]) {
  const others = layers.map((count, i) => ({ device: devices[i]!, layers: count }));
  const { language, free } = await randomDecoder(held.device, undefined, others);
  const cache = new DividedKVCache(language.stages, KEYS);
  cache.reserve(ROWS + 1);
  const dispose = (): void => {
    cache.dispose();
    free();
  };
  return { language, cache, dispose };
}

/** Chunks of `rows` rows each, from position 0 on. */
function chunksOf(cache: DividedKVCache, rows: readonly number[]) {
  return (arena: Arena): Chunk[] => {
    let first = 0;
    return rows.map((count) => {
      const x = arena.run(() => arena.device.upload(randomRows(first, count), [count, TEXT.width], "x"));
      const chunk = { x, sequences: [{ cache, rows: count }], positions: [first] };
      first += count;
      return chunk;
    });
  };
}

/** Hidden states of rows in chunks, then of a row that follows. */
async function passed(layers: readonly number[], rows: readonly number[]): Promise<number[]> {
  const { device } = held;
  const { language, cache, dispose } = await divided(layers, [second.device, third.device]);
  const owner = device.arena("test");
  const hidden = await passStages(language, [cache], chunksOf(cache, rows), { owner, where: "prefill" });
  expect(cache.length).toBe(ROWS);
  const one = (arena: Arena): Chunk[] => {
    const x = arena.run(() => device.upload(randomRows(3, 1), [1, TEXT.width], "x"));
    return [{ x, sequences: [{ cache, rows: 1 }], positions: [cache.length] }];
  };
  hidden.push(...(await passStages(language, [cache], one, { owner, where: "generating" })));
  expect(cache.length).toBe(ROWS + 1);
  const values: number[] = [];
  for (const tensor of hidden) values.push(...(await tensor.read()));
  owner.dispose();
  dispose();
  return values;
}

/** The same with all layers on one device. */
async function onOne(rows: readonly number[]): Promise<number[]> {
  const { device } = held;
  const { language, free } = await randomDecoder(device);
  const cache = new DividedKVCache(language.stages, KEYS);
  cache.reserve(ROWS + 1);
  const owner = device.arena("test");
  const values: number[] = [];
  for (const [first, count] of [...rows.entries()].map(([i, count]) => {
    return [rows.slice(0, i).reduce((a, b) => a + b, 0), count] as const;
  })) {
    const x = owner.run(() => device.upload(randomRows(first, count), [count, TEXT.width], "x"));
    values.push(...(await owner.run(() => language.forward(x, [{ cache, rows: count }])).read()));
  }
  const x = owner.run(() => device.upload(randomRows(3, 1), [1, TEXT.width], "x"));
  values.push(...(await owner.run(() => language.forward(x, [{ cache, rows: 1 }])).read()));
  owner.dispose();
  cache.dispose();
  free();
  return values;
}

test.each([
  [[2], [ROWS]],
  [[4], [20, 17, 13]],
  [
    [2, 1],
    [10, 10, 10, 10, 10],
  ],
])(
  "hidden states with the last %j layers on other devices, in chunks of %j rows, are those of one device",
  async (layers, rows) => {
    expect(await passed(layers, rows)).toEqual(await onOne(rows));
  },
);

test("layers are tapped in the order of rows, and counted", async () => {
  const { language, cache, dispose } = await divided([3], [second.device]);
  const owner = held.device.arena("test");
  const names: string[] = [];
  held.device.tap = (name) => names.push(name);
  const done: number[] = [];
  const onLayer = (count: number, layers: number): void => void done.push(count / layers);
  await passStages(language, [cache], chunksOf(cache, [25, 25]), { owner, where: "prefill", onLayer });
  for (let layer = 0; layer < TEXT.layers; layer++) {
    expect(names.filter((name) => name === `blocks.${layer}`).length).toBe(2);
  }
  expect(names.filter((name) => name === "norm").length).toBe(2);
  expect(done.at(-1)).toBe(1);
  expect(done).toEqual(done.toSorted((a, b) => a - b));
  owner.dispose();
  dispose();
});

test("an abort ends a pass on all devices, frees its memory and leaves the cache as it was", async () => {
  const { language, cache, dispose } = await divided([2], [second.device]);
  const bytes = (): number[] => [held, second].map(({ device }) => device.pool.liveBytes);
  // The cache keeps its block table.
  void cache.table;
  const before = bytes();
  const owner = held.device.arena("test");
  const controller = new AbortController();
  const onLayer = (): void => controller.abort();
  const options = { owner, where: "prefill", signal: controller.signal, onLayer };
  await expect(passStages(language, [cache], chunksOf(cache, [20, 20, 10]), options)).rejects.toThrow(AbortedError);
  expect(cache.length).toBe(0);
  expect(bytes()).toEqual(before);
  expect((await passStages(language, [cache], chunksOf(cache, [ROWS]), { owner, where: "prefill" })).length).toBe(1);
  owner.dispose();
  dispose();
});

test("the loss of a device ends a pass with its error", async () => {
  const lost = await Device.open();
  lost.title = "devices[1], the second";
  const { language, cache, dispose } = await divided([2], [lost]);
  const owner = held.device.arena("test");
  const onLayer = (done: number): void => {
    if (done === 2) lost.gpu.destroy();
  };
  const pass = passStages(language, [cache], chunksOf(cache, [20, 20, 10]), { owner, where: "prefill", onLayer });
  await expect(pass).rejects.toThrow(DeviceLostError);
  await expect(pass).rejects.toThrow("devices[1], the second");
  expect(cache.length).toBe(0);
  owner.dispose();
  dispose();
  lost.dispose();
});
