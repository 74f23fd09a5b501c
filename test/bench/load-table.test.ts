import { expect, test } from "vitest";
import type { LoadMeasurement } from "../../src/bench/load.js";
import { loadHeader, loadRow } from "../../src/bench/load-table.js";

const one: LoadMeasurement = {
  prompt: "picture",
  prefix: "shared",
  clients: 1,
  seconds: 10,
  answers: 12,
  failed: 0,
  tokens: 500,
  tokensPerSecond: 50,
  firstTokenMs: { p50: 100.4, p95: 200, p99: 3000 },
  betweenTokensMs: { p50: 20, p95: 21.26, p99: 40 },
  cachedShare: 0.5,
};

test("rows are under the header, and relative to one client", () => {
  const rows = [loadRow(one, one), loadRow({ ...one, clients: 8, tokensPerSecond: 160, failed: 2 }, one, one)];
  expect(rows[0]).toMatch(
    /^picture +shared +1 +12 +50\.0 +1\.00 +– +100 \/ 200 \/ 3000 +20\.0 \/ 21\.3 \/ 40\.0 +50 %$/,
  );
  expect(rows[1]).toMatch(/ 8 12 \(2 failed\) +160\.0 +3\.20 +3\.20 /);
  expect(loadHeader().length).toBe(rows[0]!.length);
  const empty = loadRow(
    { ...one, firstTokenMs: undefined, betweenTokensMs: undefined, cachedShare: undefined },
    undefined,
  );
  expect(empty).toMatch(/50\.0 +– +– +– +– +–$/);
});
