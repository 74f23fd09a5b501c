import { describe, expect, it } from "vitest";
import { attentionWeights as reference } from "../../src/bench/reference/attention-weights.js";
import { storedRows } from "../../src/bench/reference/kv-format.js";
import { attentionWeights } from "../../src/kernels/attention-weights.js";
import { paddedRow } from "../../src/kernels/kv-format.js";
import { rope } from "../../src/kernels/rope.js";
import { expectClose } from "../support/compare.js";
import { FEATURES, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

describe.each(FEATURES)("features: %s", (features) => {
  const held = useDevice({ features });

  for (const type of ["f32", "f16", "q8"] as const) {
    it.each([
      [1, 1, 1, 8],
      [63, 3, 1, 8],
      [64, 4, 2, 64],
      [65, 14, 2, 64],
      [331, 7, 1, 128],
    ])(`${type}: %i keys, %i/%i heads of %i`, async (keys, heads, keyValueHeads, headSize) => {
      const { device } = held;
      const width = keyValueHeads * headSize;
      const stride = paddedRow(width, type);
      const q = normals(heads * headSize, 1);
      const columns = 2 * width + headSize; // one query head, which nobody reads
      const [weights, k] = device.scope(() => {
        const cached = [0, 1].map(() => device.empty([keys + 2, stride], type, "cached"));
        const table = device.upload(new Float32Array((keys * headSize) / 2).fill(1), [keys, headSize / 2], "table");
        const x = device.upload(normals(keys * columns, 2), [keys, columns], "x");
        rope(x, table, table, cached[0]!, cached[1]!, 0, width);
        const shape = { keys, heads, keyValueHeads, headSize };
        const own = { tensor: device.upload(q, [1, heads * headSize], "q"), first: 0 };
        return [attentionWeights(own, { tensor: cached[0]!, first: 0 }, shape, "weights"), cached[0]!];
      });
      const padded = storedRows(await device.read(k!), type, keys + 2, stride);
      const rows = Float32Array.from(
        { length: keys * width },
        (_, i) => padded[Math.floor(i / width) * stride + (i % width)]!,
      );
      const truth = reference(q, rows, { keys, heads, keyValueHeads, headSize });
      const found = new Float32Array(await device.read(weights!));
      expectClose(found, truth, "kernel", "weights");
      for (let h = 0; h < heads; h++) {
        const sum = found.slice(h * keys, (h + 1) * keys).reduce((total, weight) => total + weight, 0);
        expect(sum).toBeCloseTo(1, 5);
      }
      weights!.dispose();
      k!.dispose();
    });
  }
});
