import { expect, test, vi } from "vitest";
import { BatchCounts } from "../../src/cli/batch-counts.js";
import { ProgressLine } from "../../src/cli/progress-line.js";
import { answered, BatchLines } from "../../src/server/batch-lines.js";

const silent = new ProgressLine({ isTTY: false } as NodeJS.WriteStream);
const duplicate = () => {
  const lines = new BatchLines(new Set());
  const text = JSON.stringify({ custom_id: "a", method: "POST", url: "/v1/responses", body: {} });
  lines.read(text, 1);
  return (lines.read(text, 2) as { invalid: ReturnType<typeof answered> }).invalid;
};

test("the summary counts answers, failures and what was done before", () => {
  const counts = new BatchCounts(silent, 6);
  counts.written(answered("a", 200, {}));
  expect(counts.hasFailed).toBe(false);
  counts.written(answered("b", 400, {}));
  counts.skipped();
  expect(counts.hasFailed).toBe(true);
  expect(counts.summary(true)).toBe("1 answered, 1 failed, 1 done before, 3 left: run it again to resume\n");
  for (const id of ["c", "d", "e"]) counts.written(answered(id, 200, {}));
  expect(counts.summary(false)).toBe("4 answered, 1 failed, 1 done before\n");
});

test("of a pipe it is known only whether something is left", () => {
  const counts = new BatchCounts(silent, undefined);
  expect(counts.summary(false)).toBe("0 answered, 0 failed, 0 done before\n");
  expect(counts.summary(true)).toBe("0 answered, 0 failed, 0 done before, more left: run it again to resume\n");
});

test("a duplicate is noted", () => {
  const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  new BatchCounts(silent, 1).written(duplicate());
  expect(String(written.mock.calls[0]?.[0])).toContain("an earlier line has the same custom_id a");
  written.mockRestore();
});
