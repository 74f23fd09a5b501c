import { expect, test } from "vitest";
import type { PreparedMedium } from "../../src/models/llava-onevision/processor.js";
import { RecordOrder } from "../../src/training/record-order.js";
import { SampleFeed } from "../../src/training/sample-feed.js";
import type { Sample, TrainingRecord } from "../../src/training/samples.js";

const RECORDS: TrainingRecord[] = ["a", "b", "c"].map((where) => ({ messages: [], where }));

/** A feed of steps of two records with tiles of `bytes` each, and the records that it prepared. */
function feed(bytes: number): { feed: SampleFeed; prepared: string[] } {
  const prepared: string[] = [];
  const tiles = { length: bytes } as Uint8Array;
  const order = new RecordOrder({ count: 3, shuffle: false, seed: 0, batch: 2 });
  const made = new SampleFeed(RECORDS, order, 2, async ({ where }) => {
    prepared.push(where!);
    const media = [{ segments: [{ tiles }] }] as unknown as PreparedMedium[];
    return { inputIds: [prepared.length], media, supervision: { rows: [], ids: [] } } satisfies Sample;
  });
  return { feed: made, prepared };
}

test("a step has its records, also if it begins with a later one, and each is prepared once", async () => {
  const { feed: steps, prepared } = feed(1000);
  await steps.ofStep(2);
  expect(prepared).toEqual(["c", "a"]);
  await steps.ofStep(1);
  await steps.ofStep(3);
  expect(prepared).toEqual(["c", "a", "b"]);
});

test("records whose tiles do not fit are prepared again", async () => {
  const { feed: steps, prepared } = feed(2 ** 27 + 1);
  await steps.ofStep(1);
  await steps.ofStep(2);
  await steps.ofStep(3);
  expect(prepared).toEqual(["a", "b", "c", "b", "c"]);
});
