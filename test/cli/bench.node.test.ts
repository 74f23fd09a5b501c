import { expect, test } from "vitest";
import { ocellus } from "../support/cli.js";

test("bench --list has the names that a pattern names; one that names none is an error with a near name", async () => {
  const all = await ocellus(["bench", "--list", "--all"]);
  expect(all.code).toBe(0);
  const names = all.stdout.trimEnd().split("\n");
  expect(names).toEqual(expect.arrayContaining(["matmul_1024", "rms_norm", "gemm", "qwen05b_head", "model-05b"]));
  const usual = await ocellus(["bench", "--list"]);
  expect(usual.stdout.trimEnd().split("\n")).toEqual(names.filter((name) => !name.startsWith("model-")));
  const some = await ocellus(["bench", "^rope$|decode", "--list"]);
  expect(some.stdout.trimEnd().split("\n").sort()).toEqual(
    names.filter((n) => n === "rope" || /decode/.test(n)).sort(),
  );
  const none = await ocellus(["bench", "argmx"]);
  expect(none.code).toBe(2);
  expect(none.stderr).toContain("did you mean argmax?");
});

test("bench --json says what was measured, where, and when", async () => {
  const begun = Date.now();
  const { code, stdout } = await ocellus(["bench", "^argmax$", "--json", "--seconds", "1", "--dtype", "q8,q4"]);
  expect(code).toBe(0);
  const lines = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  // Without weights the types change nothing: one line, and the summary.
  expect(lines).toHaveLength(2);
  const [measured] = lines;
  expect(measured).toMatchObject({ name: "argmax", dtype: "f32", relativeError: 0, dispatches: 2 });
  expect(measured.minimumMs).toBeGreaterThan(0);
  expect(measured.medianMs).toBeGreaterThanOrEqual(measured.minimumMs);
  expect(measured.medianMs).toBeLessThan(Date.now() - begun);
  expect(measured.peak.gflops).toBeGreaterThan(0);
  expect(measured.adapter).toMatch(/\w/);
  expect(measured.versions.ocellus).toMatch(/^\d+\./);
  expect(Date.parse(measured.date)).toBeGreaterThanOrEqual(begun);
  expect(Date.parse(measured.date)).toBeLessThanOrEqual(Date.now());
});

test("tune leaves adapters on the CPU alone, and names what is wrong with its options", async () => {
  const { code, stdout, stderr } = await ocellus(["tune"], { OCELLUS_ADAPTER: "swiftshader" });
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/runs on the CPU.*--force/s);
  for (const [args, message] of [
    [["--size", "8b"], "0.5b or 7b"],
    [["--dtype", "q5"], "f32, f16, bf16, q8, q4"],
    [["fast"], "expected options only, got fast"],
    [["--sise", "7b"], "did you mean --size?"],
  ] as const) {
    const refused = await ocellus(["tune", ...args]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(message);
  }
});
