import { describe, expect, it } from "vitest";
import { attention as attentionReference } from "../../src/bench/reference/attention.js";
import { storedRows } from "../../src/bench/reference/kv-format.js";
import { rope as ropeReference } from "../../src/bench/reference/rope.js";
import { attention } from "../../src/kernels/attention.js";
import { type CacheType, paddedRow } from "../../src/kernels/kv-format.js";
import { rope } from "../../src/kernels/rope.js";
import { expectClose } from "../support/compare.js";
import { FEATURES, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

// Keys and values as a cache holds them: what `rope` writes is near the truth, and attention reads exactly that.

/** How far a held element may be from the truth, of the largest of its group of 32. */
const ROUNDING: Record<CacheType, number> = { f32: 1e-6, f16: 2 ** -11, q8: 1 / 254 + 2 ** -10 };

describe.each(FEATURES)("features: %s", (features) => {
  const held = useDevice({ features });

  for (const type of ["f32", "f16", "q8"] as const) {
    for (const [headSize, heads, keyValueHeads, first, rows] of [
      [64, 4, 2, 7, 1],
      [64, 14, 2, 0, 33],
      [128, 2, 1, 130, 1],
      [8, 3, 1, 5, 6],
      [64, 1, 1, 63, 9],
    ] as const) {
      // Wide heads, and several rows without subgroups, are compiled by some adapters for ten seconds; one type will do.
      if ((headSize === 128 || (features === "none" && rows > 1)) && type !== "f16") continue;
      it(`${type}, ${rows} rows after ${first}, ${heads}/${keyValueHeads} heads of ${headSize}`, async () => {
        const { device } = held;
        const half = headSize / 2;
        const [queryWidth, keyWidth] = [heads * headSize, keyValueHeads * headSize];
        const width = queryWidth + 2 * keyWidth;
        const positions = first + rows;
        const stride = paddedRow(keyWidth, type);
        const [before, x] = [normals(first * width, 1), normals(rows * width, 2)];
        for (let i = 0; i < 32 && i < width; i++) x[width - 1 - i] = 0; // a group of nothing
        const angles = normals(positions * half, 3, 3);
        const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)];
        const shape = { batches: 1, queries: rows, keys: positions, heads, keyValueHeads, headSize, causalFrom: first };
        const [q, keys, values, y] = device.scope(() => {
          const k = device.empty([positions + 3, stride], type, "keys");
          const v = device.empty([positions + 3, stride], type, "values");
          const tables = [cosines, sines].map((table) => device.upload(table, [positions, half], "table"));
          const put = (part: Float32Array, count: number, at: number) =>
            rope(device.upload(part, [count, width], "x"), tables[0]!, tables[1]!, k, v, at, keyWidth);
          if (first > 0) put(before, first, 0);
          const turned = put(x, rows, first);
          const columns = [turned, k, v].map((tensor) => ({ tensor, first: 0 }));
          return [turned, k, v, attention(columns[0]!, columns[1]!, columns[2]!, shape, "y")];
        });
        const whole = new Float32Array(positions * width);
        whole.set(before);
        whole.set(x, before.length);
        const truth = ropeReference(whole, cosines, sines, width, queryWidth + keyWidth, half, 0);
        const part = (from: number, count: number) =>
          Float64Array.from(
            { length: positions * count },
            (_, i) => truth[Math.floor(i / count) * width + from + (i % count)]!,
          );
        const read = async (tensor: typeof keys, from: number) => {
          const padded = storedRows(await device.read(tensor!), type, positions + 3, stride);
          const rowsOf = Float32Array.from(
            { length: positions * keyWidth },
            (_, i) => padded[Math.floor(i / keyWidth) * stride + (i % keyWidth)]!,
          );
          const wanted = part(from, keyWidth);
          for (let row = 0; row < positions; row++) {
            for (let group = 0; group < keyWidth; group += 32) {
              const [at, end] = [row * keyWidth + group, row * keyWidth + Math.min(keyWidth, group + 32)];
              const largest = wanted.slice(at, end).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
              for (let i = at; i < end; i++) {
                const off = Math.abs(rowsOf[i]! - wanted[i]!);
                if (!(off <= largest * ROUNDING[type])) expect.fail(`element ${i} is ${rowsOf[i]}, not ${wanted[i]}`);
              }
            }
          }
          return rowsOf;
        };
        const k = await read(keys, queryWidth);
        const v = await read(values, queryWidth + keyWidth);
        const queries = await q!.read();
        expectClose(queries, part(0, queryWidth).slice(first * queryWidth), "kernel", "queries");
        expectClose(await y!.read(), attentionReference(queries, k, v, shape), "kernel", "attention");
        for (const tensor of [q, keys, values, y]) tensor!.dispose();
      });
    }
  }
});
