import { expect, it } from "vitest";
import { useFacts } from "../support/adapters.js";
import { rankOf, searchState, useSearches } from "../support/cutoff-search.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();
const ran = useFacts(held, { onCPU: false, broadcastLanes: 0 });
const searchOf = useSearches(held);
const { FLOOR, LISTED } = searchState;
const COUNT = 100_000;

it.each([1, 20, 50, 500])("lists for top-%i few more ranks than that, and no buckets", async (topK) => {
  const logits = normals(COUNT, 3, 3);
  const words = await searchOf(logits, { topK, topP: 0.9 });
  const kth = Float32Array.from(logits).sort().reverse()[topK - 1]!;
  expect(words[FLOOR]).toBeLessThanOrEqual(rankOf(kth));
  expect(words[LISTED]).toBe(logits.filter((e) => rankOf(e) >= words[FLOOR]!).length);
  expect(words[LISTED]).toBeGreaterThanOrEqual(topK);
  expect(words[LISTED]).toBeLessThan(1.3 * topK + 20);
  expect(ran).toEqual(["rankLogits", "cutoffFloor", "cutoffCollect", "cutoffSearch"]);
});
