import { mkdtemp, readFile, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { aboutRun } from "../../src/bench/report.js";
import { parse } from "../../src/cli/arguments.js";
import { bench } from "../../src/cli/bench.js";
import { commandText, ReportFile } from "../../src/cli/bench-report.js";
import { Interruption } from "../../src/cli/interruption.js";
import { factsOf } from "../../src/runtime/adapter.js";
import { measurement } from "../support/measurement.js";

/** A norm that computes something else. */
vi.mock("../../src/kernels/norm.js", async (original) => {
  const real = await original<typeof import("../../src/kernels/norm.js")>();
  return { ...real, rmsNorm: (...[x, w]: Parameters<typeof real.rmsNorm>) => real.rmsNorm(x, w, 7) };
});

test("the command is one that others can run, without the paths of this machine", () => {
  const args = ["^a|b'", "--dtype", "f16,q4", "--checkpoint", "/home/me/x", "--report=/home/me/r.html", "--no-f16"];
  expect(commandText(parse(bench, args))).toBe("ocellus bench '^a|b'\\''' --dtype f16,q4 --checkpoint … --no-f16");
});

test("a workload with wrong results has no row; the others are measured, and the report names it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ocellus-report-"));
  const written: string[] = [];
  const write = (text: string | Uint8Array) => Boolean(written.push(String(text)));
  vi.spyOn(process.stdout, "write").mockImplementation(write);
  vi.spyOn(process.stderr, "write").mockImplementation(write);
  try {
    const path = join(folder, "r.html");
    const args = ["^rms_norm_05b_row$|^argmax$", "--seconds", "0.01", "--report", path];
    await bench.run(parse(bench, args), new Interruption());
    expect(process.exitCode).toBe(1);
    const html = await readFile(path, "utf8");
    expect(html).toContain("Not complete: bench rms_norm_05b_row in f32: expected at most");
    expect(html).toContain('<th scope="row">argmax</th>');
    expect(html).not.toContain('<th scope="row">rms_norm_05b_row</th>');
    expect(written.join("")).toMatch(/ocellus: bench rms_norm_05b_row.*wrong results are not timed/);
  } finally {
    process.exitCode = undefined;
    vi.restoreAllMocks();
    await rm(folder, { recursive: true });
  }
});

test("the page is written again after each workload, and names no home folder", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ocellus-report-"));
  try {
    const gpu = { features: new Set(), limits: {} } as unknown as GPUDevice;
    const info = { vendor: "v", architecture: "a", device: "", description: "d" } as GPUAdapterInfo;
    const facts = factsOf(gpu, info, [
      `Tuned on 2026-01-01 (${join(folder, "tuning.json")}).`,
      `It cannot be loaded (${join(homedir(), "x.so")}).`,
    ]);
    vi.stubEnv("OCELLUS_CACHE", folder);
    const about = aboutRun(facts, { gflops: 2, loop: "", gigabytesPerSecond: 1 }, {});
    const path = join(folder, "r.html");
    const file = new ReportFile(path, facts, about, "ocellus bench");
    await file.write([], "not yet");
    expect(await readFile(path, "utf8")).toContain("Not complete: not yet");
    await file.write([measurement({ name: "one" })]);
    const html = await readFile(path, "utf8");
    expect(html).toContain('<th scope="row">one</th>');
    expect(html).not.toContain("Not complete");
    expect(html).toContain(`Tuned on 2026-01-01 (tuning.json). It cannot be loaded (${join("~", "x.so")}).`);
    expect(html).not.toContain(folder);
    expect(html).not.toContain(homedir());
  } finally {
    vi.unstubAllEnvs();
    await rm(folder, { recursive: true });
  }
});
