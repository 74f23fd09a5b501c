import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ocellus } from "../support/cli.js";
import { ocellusHere } from "../support/cli-in-process.js";

test("bench --list has the names that a pattern names; one that names none is an error with a near name", async () => {
  const all = await ocellusHere(["bench", "--list", "--all"]);
  expect(all.code).toBe(0);
  const names = all.stdout.trimEnd().split("\n");
  expect(names).toEqual(expect.arrayContaining(["matmul_1024", "rms_norm", "gemm", "qwen05b_head", "model-05b"]));
  const usual = await ocellusHere(["bench", "--list"]);
  expect(usual.stdout.trimEnd().split("\n")).toEqual(names.filter((name) => !name.startsWith("model-")));
  const some = await ocellusHere(["bench", "^rope$|decode", "--list"]);
  expect(some.stdout.trimEnd().split("\n").sort()).toEqual(
    names.filter((n) => n === "rope" || /decode/.test(n)).sort(),
  );
  const none = await ocellusHere(["bench", "argmx"]);
  expect(none.code).toBe(2);
  expect(none.stderr).toContain("did you mean argmax?");
});

test("bench --json says what was measured, where, and when", async () => {
  const begun = Date.now();
  const { code, stdout } = await ocellus(["bench", "^argmax$", "--json", "--seconds", "0.4", "--dtype", "q8,q4"]);
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

test("bench --report writes a page with the adapter and the figures, also in --json", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ocellus report "));
  try {
    const path = join(folder, "report.html");
    const args = ["bench", "^argmax$|^rms_norm_05b_row$", "--json", "--seconds", "0.1", "--no-f16", "--no-matrices"];
    const { code, stdout } = await ocellusHere([...args, "--report", path], {
      OCELLUS_TUNING: '{"norm.lanes.few":64}',
    });
    expect(code).toBe(0);
    const [measured] = stdout.split("\n");
    const html = await readFile(path, "utf8");
    expect(html).toContain(JSON.parse(measured!).adapter);
    expect(html).toContain("rms_norm_05b_row");
    expect(html).toContain("<svg");
    expect(html).toContain(
      "ocellus bench &#39;^argmax$|^rms_norm_05b_row$&#39; --json --seconds 0.1 --no-f16 --no-matrices<",
    );
    expect(html).toContain("OCELLUS_TUNING sets norm.lanes.few = 64.");
    expect(html).toContain("f16 is not used: it was switched off.");
    expect(html).toContain("Subgroup matrices are not used: they were switched off.");
    expect(html).not.toContain(folder);
    expect(html).not.toContain("Not complete");
    // The summary is the only line that ends the run, and the page has it too.
    expect(html).toContain("{&quot;name&quot;:&quot;summary&quot;");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a report that cannot be written is an error before anything is measured", async () => {
  const path = join(tmpdir(), "no such folder", "report.html");
  const { code, stdout, stderr } = await ocellusHere(["bench", "^argmax$", "--report", path, "--json"]);
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toContain(`${path}: expected a file that can be written`);
});

test.each([
  ["0", "a number above 0, got 0"],
  ["-1", "a number above 0, got -1"],
  ["soon", "a number above 0, got soon"],
])("bench --seconds %s is an error", async (seconds, message) => {
  const { code, stderr } = await ocellusHere(["bench", `--seconds=${seconds}`]);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
});

test("tune leaves adapters on the CPU alone, and names what is wrong with its options", async () => {
  const { code, stdout, stderr } = await ocellusHere(["tune"], { OCELLUS_ADAPTER: "swiftshader" });
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/runs on the CPU.*--force/s);
  for (const [args, message] of [
    [["--size", "8b"], "0.5b or 7b"],
    [["--dtype", "q5"], "f32, f16, bf16, q8, q4"],
    [["fast"], "expected options only, got fast"],
    [["--sise", "7b"], "did you mean --size?"],
  ] as const) {
    const refused = await ocellusHere(["tune", ...args]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(message);
  }
});
