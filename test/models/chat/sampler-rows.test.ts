import { expect, test } from "vitest";
import { SharedRows } from "../../../src/models/chat/sampler-rows.js";
import { useDevice } from "../../support/device.js";

const held = useDevice();

const rowsOf = (length: number) => new SharedRows(held.device, "u32", length, "rows", held.device.arena("rows"));
const words = (...all: number[]) => Uint32Array.from(all);

test("rows keep their elements where the tensor grows, and its memory is freed with the last of them", async () => {
  const { device } = held;
  const rows = rowsOf(100);
  const taken = [1, 2, 3, 4, 5].map((n) => rows.take(words(n, 10 * n)));
  for (const [i, row] of taken.entries()) {
    expect([...(await row.part(2).read("u32"))]).toEqual([i + 1, 10 * (i + 1)]);
    expect(row.place).toEqual({ tensor: rows.tensor, first: 128 * i });
  }
  expect(rows.tensor.shape).toEqual([8, 128]);
  taken[1]!.release();
  const again = rows.take(words(7, 7));
  expect(again.place.first).toBe(128);
  for (const row of [taken[0]!, again, ...taken.slice(2)]) row.release();
  expect(device.pool.liveBytes).toBe(0);
});

test("rows that do not fit one binding are in another tensor", async () => {
  const { device } = held;
  const length = Math.floor(device.facts.maxBindingBytes / 4 / 2 / 64) * 64;
  const { empty } = device;
  // Of this size, so that no memory is needed for it.
  device.empty = (shape, dtype, label) => empty.call(device, [shape[0]!, 64], dtype, label);
  try {
    const rows = rowsOf(length);
    const taken = [rows.take(), rows.take(), rows.take()];
    const [first, second, third] = taken.map(({ place }) => place);
    expect(second).toEqual({ tensor: first!.tensor, first: length });
    expect(third!.first).toBe(0);
    expect(third!.tensor).not.toBe(first!.tensor);
    for (const row of taken) row.release();
    expect(device.pool.liveBytes).toBe(0);
  } finally {
    device.empty = empty;
  }
});
