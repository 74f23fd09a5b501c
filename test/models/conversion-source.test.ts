import { expect, test } from "vitest";
import { divide, shardIndex, shardName } from "../../src/models/conversion-source.js";

test("files take as much as fits, and one item at least", () => {
  const divided = (sizes: readonly number[]) => divide(sizes, (bytes) => bytes, 10);
  expect(divided([4, 6, 1, 20, 3, 8])).toEqual([[4, 6], [1], [20], [3], [8]]);
  expect(divided([])).toEqual([[]]);
});

test("one file has the name of a single one, several are numbered and indexed", () => {
  expect(shardName(0, 1)).toBe("model.safetensors");
  expect(shardName(1, 12)).toBe("model-00002-of-00012.safetensors");
  expect(JSON.parse(shardIndex([["a", "b"], ["c"]], 7))).toEqual({
    metadata: { total_size: 7 },
    weight_map: { a: shardName(0, 2), b: shardName(0, 2), c: shardName(1, 2) },
  });
});
