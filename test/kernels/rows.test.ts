import { describe, expect, it } from "vitest";
import { layerNorm as layerNormReference, rmsNorm as rmsNormReference } from "../../src/bench/reference/norm.js";
import { rope as ropeReference } from "../../src/bench/reference/rope.js";
import {
  gather as gatherReference,
  patchify as patchifyReference,
  resample as resampleReference,
} from "../../src/bench/reference/rows.js";
import { swiglu as swigluReference } from "../../src/bench/reference/swiglu.js";
import { argmax } from "../../src/kernels/argmax.js";
import { copyRows } from "../../src/kernels/copy-rows.js";
import { gather } from "../../src/kernels/gather.js";
import { layerNorm, rmsNorm } from "../../src/kernels/norm.js";
import { pack } from "../../src/kernels/pack.js";
import { PackedMatrix } from "../../src/kernels/packed.js";
import { padRows } from "../../src/kernels/pad-rows.js";
import { patchify } from "../../src/kernels/patchify.js";
import { resample } from "../../src/kernels/resample.js";
import { rope } from "../../src/kernels/rope.js";
import { swiglu } from "../../src/kernels/swiglu.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals, random } from "../support/random.js";

const held = useDevice();
const WIDTHS = [1, 31, 32, 33, 61, 144, 896, 1152];

describe("norms", () => {
  for (const width of WIDTHS) {
    it(`rmsNorm and layerNorm of width ${width}`, async () => {
      const { device } = held;
      const x = normals(5 * width, width).map((v) => v + 3);
      const [weight, bias] = [normals(width, 1), normals(width, 2)];
      const rms = await result(device, () =>
        rmsNorm(device.upload(x, [5, width], "x"), device.upload(weight, [width], "weight"), 1e-6),
      );
      expectClose(rms, rmsNormReference(x, weight, 1e-6), "kernel", "rmsNorm");
      if (width === 1) return; // the variance of one number is rounding
      const layer = await result(device, () =>
        layerNorm(
          device.upload(x, [5, width], "x"),
          device.upload(weight, [width], "weight"),
          device.upload(bias, [width], "bias"),
          1e-6,
        ),
      );
      expectClose(layer, layerNormReference(x, weight, bias, 1e-6), "kernel", "layerNorm");
    });
  }
});

describe("swiglu", () => {
  for (const width of [8, 16, 64, 72, 640, 4864]) {
    it(`width ${width}`, async () => {
      const { device } = held;
      const x = normals(3 * 2 * width, width, 4);
      const y = await result(device, () => swiglu(device.upload(x, [3, 2 * width], "x")));
      expectClose(y, swigluReference(x, 3), "kernel");
    });
  }
  it("of huge negative and positive gates is finite", async () => {
    const { device } = held;
    const y = await result(device, () =>
      swiglu(
        device.upload(
          Float32Array.from({ length: 16 }, (_, i) => (i >= 8 ? 1 : i % 2 ? 1e4 : -1e4)),
          [1, 16],
          "x",
        ),
      ),
    );
    expectClose(y, [0, 1e4, 0, 1e4, 0, 1e4, 0, 1e4], "kernel");
  });
});

describe("rope", () => {
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
      const rotated = ropeReference(x, cosines, sines, width, queryWidth + keyWidth, half, first);
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
});

describe("rows", () => {
  it("gather reads an embedding table through its packed form, tables of several blocks too", async () => {
    const { device } = held;
    for (const [vocabulary, width] of [
      [1, 1],
      [33, 9],
      [640, 256],
      [97, 61],
    ] as const) {
      const table = normals(vocabulary * width, 1);
      const next = random(5);
      const ids = Uint32Array.from({ length: 13 }, () => Math.floor(next() * vocabulary));
      const y = await result(device, () => {
        const matrix = PackedMatrix.allocate(device, vocabulary, width, "f32", "table");
        pack(device.upload(new Uint32Array(table.buffer), [table.length], "source"), "f32", vocabulary, matrix, 0);
        return gather(device.upload(ids, [13], "ids"), matrix, "y");
      });
      expectClose(y, gatherReference(ids, table, width), "exact");
    }
  });

  it("copyRows writes listed rows and leaves the others", async () => {
    const { device } = held;
    const width = 70;
    const [source, before] = [normals(6 * width, 1), normals(9 * width, 2)];
    const pairs = [5, 0, 0, 8, 2, 3];
    const y = await result(device, () => {
      const into = device.upload(before, [9, width], "into");
      copyRows(
        device.upload(source, [6, width], "source"),
        device.upload(Uint32Array.from(pairs), [3, 2], "rows"),
        into,
      );
      return into;
    });
    const truth = Float32Array.from(before);
    for (let i = 0; i < pairs.length; i += 2) {
      truth.set(source.subarray(pairs[i]! * width, (pairs[i]! + 1) * width), pairs[i + 1]! * width);
    }
    expectClose(y, truth, "exact");
  });

  it("resample blends four rows of a matrix in pieces", async () => {
    const { device } = held;
    const width = 67;
    const x = normals(20 * width, 1);
    const next = random(3);
    const sources = Uint32Array.from({ length: 4 * 11 }, () => Math.floor(next() * 20));
    const weights = Float32Array.from({ length: 2 * 11 }, () => next());
    const y = await result(device, () =>
      resample(
        [
          { first: 0, tensor: device.upload(x.slice(0, 7 * width), [7, width], "x") },
          { first: 7, tensor: device.upload(x.slice(7 * width), [13, width], "x") },
        ],
        device.upload(sources, [11, 4], "sources"),
        device.upload(weights, [11, 2], "weights"),
        "y",
      ),
    );
    expectClose(y, resampleReference(x, sources, weights, width), "kernel");
  });

  it("padRows widens with zeros", async () => {
    const { device } = held;
    const y = await result(device, () => padRows(device.upload(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3], "x"), 8));
    expect([...y]).toEqual([1, 2, 3, 0, 0, 0, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0]);
  });

  for (const [side, patch] of [
    [29, 14],
    [126, 14],
    [12, 4],
  ] as const) {
    it(`patchify of ${side} pixels in patches of ${patch}`, async () => {
      const { device } = held;
      const next = random(4);
      const pixels = Uint8Array.from({ length: 2 * side * side * 3 }, () => Math.floor(next() * 256));
      const levels = normals(768, 9);
      const y = await result(device, () =>
        patchify(device.upload(pixels, [2, side, side, 3], "pixels"), device.upload(levels, [3, 256], "levels"), patch),
      );
      const truth = patchifyReference(pixels, levels, 2, side, patch);
      const inner = 3 * patch * patch;
      const width = Math.ceil(inner / 4) * 4;
      const padded = new Float64Array((truth.length / inner) * width);
      for (let r = 0; r < truth.length / inner; r++) padded.set(truth.subarray(r * inner, (r + 1) * inner), r * width);
      expectClose(y, padded, "exact");
    });
  }
});

describe("argmax", () => {
  for (const count of [1, 2, 255, 256, 257, 1031, 151936]) {
    it(`of ${count}, ignoring what follows, the lowest of equals`, async () => {
      const { device } = held;
      const x = normals(count + 5, count);
      x.fill(1e9, count);
      const at = Math.floor(count / 2);
      x[at] = 50;
      if (at + 1 < count) x[count - 1] = 50;
      const y = device.scope(() => argmax(device.upload(x, [x.length], "x"), count));
      expect((await y.read("u32"))[0]).toBe(at);
      y.dispose();
    });
  }
});
