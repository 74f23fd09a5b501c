import { describe, expect, test } from "vitest";
import { attention as attentionReference } from "../../src/bench/reference/attention.js";
import { rowsOfBlocks } from "../../src/bench/reference/kv-blocks.js";
import { storedRows } from "../../src/bench/reference/kv-format.js";
import { rope as ropeReference } from "../../src/bench/reference/rope.js";
import { attentionWeights } from "../../src/kernels/attention-weights.js";
import { BLOCK_ROWS, type BlockTable, sequenceTables } from "../../src/kernels/kv-blocks.js";
import { type CacheType, paddedRow } from "../../src/kernels/kv-format.js";
import { rope } from "../../src/kernels/rope.js";
import { type HeadSizes, rotatedAttention, rotatedAttentionOfSequences } from "../../src/kernels/rotated-attention.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { ADAPTERS, useFacts } from "../support/adapters.js";
import { expectClose, expectSame } from "../support/compare.js";
import { useDevice } from "../support/device.js";
import { columnsOf } from "../support/layers.js";
import { normals } from "../support/random.js";

// Keys and values in blocks: the bits of rows that follow each other, for one sequence alone and for several in one dispatch.

const held = useDevice();
const SIZES: HeadSizes = { heads: 14, keyValueHeads: 2, headSize: 64 };
const { heads, keyValueHeads, headSize } = SIZES;
const [Q_WIDTH, K_WIDTH, HALF] = [heads * headSize, keyValueHeads * headSize, headSize / 2];
const WIDTH = Q_WIDTH + 2 * K_WIDTH;
const [POSITIONS, BLOCKS] = [300, 12];
const ANGLES = normals(POSITIONS * HALF, 5, 3);

/** Rows before the new ones, and the blocks that the sequence has. */
const SEQUENCES = [
  { cached: 5, blocks: [7] },
  { cached: 64, blocks: [2, 9] },
  { cached: 130, blocks: [11, 0, 4] },
  { cached: 0, blocks: [1] },
] as const;

/** Queries, keys and values of the first rows of sequence `i`, before RoPE. */
const inputOf = (i: number, rows: number): Float32Array => normals(rows * WIDTH, 10 + i);

interface Tables {
  readonly cosines: Tensor;
  readonly sines: Tensor;
}

function upload(numbers: Float32Array, width: number): Tensor {
  return held.device.upload(numbers, [numbers.length / width, width], "numbers");
}

const ropeTables = (): Tables => ({
  cosines: upload(ANGLES.map(Math.cos), HALF),
  sines: upload(ANGLES.map(Math.sin), HALF),
});

/** Empty keys and values of `rows` rows. */
function emptyCache(rows: number, type: CacheType): { keys: Tensor; values: Tensor } {
  const [keys, values] = [0, 1].map(() => held.device.empty([rows, paddedRow(K_WIDTH, type)], type, "cache"));
  return { keys: keys!, values: values! };
}

function tableOf(blocks: readonly number[]): BlockTable {
  return { tensor: held.device.upload(Uint32Array.from(blocks), [blocks.length], "table"), of: "one" };
}

/** Attends with `rows` new rows of sequence `i` behind those that are cached. */
function attend(i: number, rows: number, cache: ReturnType<typeof emptyCache>, table?: BlockTable): Tensor {
  const { cached } = SEQUENCES[i]!;
  const x = inputOf(i, cached + rows);
  const { cosines, sines } = ropeTables();
  const { keys, values } = cache;
  if (cached > 0) rope(upload(x.slice(0, cached * WIDTH), WIDTH), cosines, sines, keys, values, 0, K_WIDTH, table);
  const own = upload(x.slice(cached * WIDTH), WIDTH);
  return rotatedAttention(own, { cosines, sines, ...cache }, cached, SIZES, { table });
}

/** The result of `work`, and the keys that it leaves, as numbers `[rows, stride]`. */
async function resultOf(
  type: CacheType,
  rows: number,
  work: (cache: ReturnType<typeof emptyCache>) => Tensor,
): Promise<{ y: Float32Array; keys: Float32Array }> {
  const { device } = held;
  const [y, keys] = device.scope(() => {
    const cache = emptyCache(rows, type);
    return [work(cache), cache.keys];
  });
  const stored = storedRows(await device.read(keys!), type, rows, paddedRow(K_WIDTH, type));
  const result = { y: new Float32Array(await device.read(y!)), keys: stored };
  for (const tensor of [y!, keys!]) tensor.dispose();
  return result;
}

const stacked = (i: number, rows: number, type: CacheType) =>
  resultOf(type, POSITIONS, (cache) => attend(i, rows, cache));
const inBlocks = (i: number, rows: number, type: CacheType) =>
  resultOf(type, BLOCKS * BLOCK_ROWS, (cache) => attend(i, rows, cache, tableOf(SEQUENCES[i]!.blocks)));

function testOn(facts: Partial<AdapterFacts>): void {
  const ran = useFacts(held, facts);

  describe.each(["f32", "f16", "q8"] as const)("keys and values in %s", (type) => {
    test("one row, and many rows, have the bits that they have without blocks", async () => {
      const stride = paddedRow(K_WIDTH, type);
      for (const [i, rows] of [
        [0, 1],
        [1, 1],
        [2, 1],
        [1, 40],
        [2, 61],
      ] as const) {
        const [own, truth] = [await inBlocks(i, rows, type), await stacked(i, rows, type)];
        expectSame(own.y, truth.y, `sequence ${i}, ${rows} rows`);
        const { cached, blocks } = SEQUENCES[i]!;
        const written = rowsOfBlocks(own.keys, blocks, BLOCK_ROWS, cached + rows, stride);
        expectSame(written, Float64Array.from(truth.keys.slice(0, (cached + rows) * stride)), "keys");
      }
    });

    test("one row each of several sequences has the bits that it has alone, in as many dispatches", async () => {
      const alone: number[] = [];
      let dispatches = 0;
      for (const i of SEQUENCES.keys()) {
        const before = ran.length;
        alone.push(...(await inBlocks(i, 1, type)).y);
        // Without those that fill the cache before.
        dispatches = Math.max(dispatches, ran.length - before - (SEQUENCES[i]!.cached > 0 ? 1 : 0));
      }
      let own = 0;
      const { y } = await resultOf(type, BLOCKS * BLOCK_ROWS, (cache) => {
        const { cosines, sines } = ropeTables();
        const next: number[] = [];
        for (const [i, { cached, blocks }] of SEQUENCES.entries()) {
          const x = inputOf(i, cached + 1);
          const { keys, values } = cache;
          const table = tableOf(blocks);
          if (cached > 0)
            rope(upload(x.slice(0, cached * WIDTH), WIDTH), cosines, sines, keys, values, 0, K_WIDTH, table);
          next.push(...x.slice(cached * WIDTH));
        }
        const rows = SEQUENCES.map(({ cached, blocks }) => ({ position: cached, blocks }));
        const tables = sequenceTables(held.device, rows);
        expect([tables.count, tables.keys, tables.distinct]).toEqual([4, 131, true]);
        const before = ran.length;
        const x = upload(Float32Array.from(next), WIDTH);
        const result = rotatedAttentionOfSequences(x, { cosines, sines, ...cache }, tables, SIZES);
        own = ran.length - before;
        return result;
      });
      expectSame(y, Float32Array.from(alone), "rows");
      expect(own).toBe(dispatches);
    });
  });

  test("many rows are close to the float64 loops, whose keys and values are gathered from the blocks", async () => {
    const [i, rows] = [2, 61];
    const { y, keys } = await inBlocks(i, rows, "f32");
    const { cached, blocks } = SEQUENCES[i]!;
    const count = cached + rows;
    const cosines = ANGLES.map(Math.cos);
    const turned = ropeReference(inputOf(i, count), cosines, ANGLES.map(Math.sin), WIDTH, Q_WIDTH + K_WIDTH, HALF, 0);
    const truth = attentionReference(
      columnsOf(turned.slice(cached * WIDTH), WIDTH, 0, Q_WIDTH),
      rowsOfBlocks(keys, blocks, BLOCK_ROWS, count, K_WIDTH),
      columnsOf(turned, WIDTH, Q_WIDTH + K_WIDTH, K_WIDTH),
      { batches: 1, queries: rows, keys: count, ...SIZES, causalFrom: cached },
    );
    expectClose(y, truth, "kernel");
  });
}

describe("this adapter's kernels", () => testOn({}));
describe("GPUs' kernels", () => testOn(ADAPTERS["GPU, no subgroups"]!));
describe("kernels of CPU adapters without subgroups", () => testOn(ADAPTERS["CPU, no subgroups"]!));

test("rows of one sequence that follow each other share its blocks", async () => {
  const { device } = held;
  const { cached, blocks } = SEQUENCES[1];
  const rows = [0, 1, 2].map((before) => ({ position: cached + before, blocks }));
  const { tensor, distinct, count } = sequenceTables(device, rows);
  expect([distinct, count, tensor.length]).toEqual([false, 3, 3 * 4 + blocks.length]);
  tensor.dispose();
  const apart = await Promise.all([inBlocks(1, 3, "f32")]);
  const { y } = await resultOf("f32", BLOCKS * BLOCK_ROWS, (cache) => {
    const { cosines, sines } = ropeTables();
    const x = inputOf(1, cached + 3);
    rope(
      upload(x.slice(0, cached * WIDTH), WIDTH),
      cosines,
      sines,
      cache.keys,
      cache.values,
      0,
      K_WIDTH,
      tableOf(blocks),
    );
    const own = upload(x.slice(cached * WIDTH), WIDTH);
    return rotatedAttentionOfSequences(own, { cosines, sines, ...cache }, sequenceTables(device, rows), SIZES);
  });
  // Kernels of several rows have other sums.
  expectClose(y, Float64Array.from(apart[0]!.y), "kernel");
});

test("attention weights are read through a block table", async () => {
  const { device } = held;
  const { cached, blocks } = SEQUENCES[2];
  const q = normals(Q_WIDTH, 3);
  const weights = (i: number, table: boolean) =>
    resultOf("f16", BLOCKS * BLOCK_ROWS, (cache) => {
      const { cosines, sines } = ropeTables();
      const own = table ? tableOf(blocks) : undefined;
      const x = upload(inputOf(i, cached), WIDTH);
      rope(x, cosines, sines, cache.keys, cache.values, 0, K_WIDTH, own);
      const [query, k] = [upload(q, Q_WIDTH), cache.keys].map((tensor) => ({ tensor, first: 0 }));
      return attentionWeights(query!, k!, { keys: cached, ...SIZES }, "weights", own);
    });
  expectSame((await weights(2, true)).y, (await weights(2, false)).y, "weights");
  expect(device.pool.liveBytes).toBe(0);
});
