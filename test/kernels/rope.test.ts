import { expect, it } from "vitest";
import { rope as reference } from "../../src/bench/reference/rope.js";
import { rope } from "../../src/kernels/rope.js";
import { expectClose } from "../support/compare.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();

for (const [headSize, first] of [
  [64, 0],
  [64, 7],
  [128, 100],
  [8, 3],
] as const) {
  it(`head size ${headSize} from position ${first}: queries rotated, keys and values in the cache`, async () => {
    const { device } = held;
    const [rows, half] = [5, headSize / 2];
    const [queryWidth, keyWidth] = [3 * headSize, headSize];
    const width = queryWidth + 2 * keyWidth;
    const x = normals(rows * width, 1);
    const angles = normals((first + rows) * half, 2, 3);
    const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)];
    const before = normals((first + rows + 1) * keyWidth, 3);
    const [q, keys, values] = device.scope(() => {
      const cache = [0, 1].map(() => device.upload(before, [first + rows + 1, keyWidth], "cache"));
      const queries = rope(
        device.upload(x, [rows, width], "x"),
        device.upload(cosines, [first + rows, half], "cosines"),
        device.upload(sines, [first + rows, half], "sines"),
        cache[0]!,
        cache[1]!,
        first,
      );
      return [queries, ...cache];
    });
    const rotated = reference(x, cosines, sines, width, queryWidth + keyWidth, half, first);
    const part = (from: number, count: number) =>
      Float64Array.from(
        { length: rows * count },
        (_, i) => rotated[Math.floor(i / count) * width + from + (i % count)]!,
      );
    const cached = (filled: Float64Array) => {
      const whole = Float64Array.from(before);
      whole.set(filled, first * keyWidth);
      return whole;
    };
    expectClose(await q!.read(), part(0, queryWidth), "kernel", "queries");
    expectClose(await keys!.read(), cached(part(queryWidth, keyWidth)), "kernel", "keys");
    expectClose(await values!.read(), cached(part(queryWidth + keyWidth, keyWidth)), "exact", "values");
    for (const tensor of [q, keys, values]) tensor!.dispose();
  });
}

it("refuses heads that are not of a multiple of 8 columns", () => {
  const { device } = held;
  device.scope(() => {
    const floats = (...shape: number[]) => device.empty(shape, "f32", "x");
    const cache = [floats(4, 12), floats(4, 12)] as const;
    expect(() => rope(floats(2, 36), floats(4, 6), floats(4, 6), ...cache, 0)).toThrow(
      /rope, tensor x: expected heads of a multiple of 8 columns, got heads of 12, 12 columns of queries and 12 of keys/,
    );
    expect(() => rope(floats(2, 36), floats(4, 4), floats(4, 4), ...cache, 0)).toThrow(/got heads of 8/);
  });
});
