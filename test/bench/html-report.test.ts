import { expect, test } from "vitest";
import { type HtmlReport, htmlReport } from "../../src/bench/html-report.js";
import { aboutRun } from "../../src/bench/report.js";
import type { AdapterFacts } from "../../src/runtime/adapter.js";
import { measurement } from "../support/measurement.js";

const facts: AdapterFacts = {
  name: "an <adapter> & driver",
  vendor: "vendor",
  architecture: "architecture",
  description: "driver 1",
  onCPU: false,
  subgroupMinSize: 16,
  subgroupMaxSize: 32,
  broadcastLanes: 0,
  f16: true,
  packedDots: false,
  subgroupMatrix: { m: 16, n: 8, k: 16, input: "f16" },
  timestamps: true,
  maxBindingBytes: 2 ** 27,
  maxBufferBytes: 2 ** 28,
  maxWorkgroupBytes: 2 ** 15,
  immediateBytes: 0,
  tuning: { "matvec.slices.narrow": 16 },
  reasons: ["It was there."],
};
const peak = { gflops: 100, loop: "64 lanes", gigabytesPerSecond: 10 };
const about = aboutRun(facts, peak, { ocellus: "1.2.3", browser: undefined });
const run = [
  measurement({
    name: "row",
    kind: "row product",
    dtype: "q4",
    flops: 1,
    gflops: 20,
    gigabytesPerSecond: 8,
    share: 0.8,
  }),
  measurement({ name: "product", kind: "product", flops: 1, gflops: 60, gigabytesPerSecond: 1, share: 0.6 }),
  measurement({ name: "copy", gigabytesPerSecond: 9, share: 0.9, details: { "GPU MB": 12.34 } }),
];
const report: HtmlReport = { facts, about, run, command: "ocellus bench --dtype 'q4'", system: "Linux" };

test("the page has the adapter, every figure and the JSON lines, and asks for nothing else", () => {
  const html = htmlReport(report);
  for (const text of ["an &lt;adapter&gt; &amp; driver", "16 to 32 lanes", "16×8×16 f16", "128 MiB, 256 MiB"]) {
    expect(html).toContain(text);
  }
  expect(html).toContain("{&quot;matvec.slices.narrow&quot;:16}");
  expect(html).toContain("It was there.");
  expect(html).toContain("100.0 GFLOP/s (multiply-adds in registers, 64 lanes), 10.0 GB/s (copy)");
  expect(html).toContain("ocellus 1.2.3, browser not known");
  expect(html).toContain("best matrix product: 60.0 GFLOP/s (product f32), 60 % of the peak");
  expect(html).toContain("GPU MB 12.3");
  expect(html).toContain("<svg");
  expect(html).not.toMatch(/<script|<link|<img|src=|href=|url\(|@import|<adapter>/);
  const lines = /<pre[^>]*>([^<]*)<\/pre>/.exec(html)![1]!.replaceAll("&quot;", '"').replaceAll("&lt;", "<");
  const parsed = lines.split("\n").map((line) => JSON.parse(line.replaceAll("&gt;", ">").replaceAll("&amp;", "&")));
  expect(parsed.map(({ name }) => name)).toEqual(["row", "product", "copy", "summary"]);
  expect(parsed[0]).toMatchObject({ adapter: facts.name, features: { subgroups: [16, 32], matrices: "16×8×16 f16" } });
});

test("a share is of what limits the workload", () => {
  const rows = htmlReport(report)
    .match(/<td class="share \w+"/g)!
    .map((cell) => cell.slice(17, -1));
  expect(rows).toEqual(["memory", "arithmetic", "memory"]);
});

test("a run that did not end says why, and may have no figures", () => {
  const html = htmlReport({ ...report, run: [], fault: "the device was lost <here>" });
  expect(html).toContain("Not complete: the device was lost &lt;here&gt;");
  expect(html).not.toContain("<svg");
  expect(html).not.toContain("<table");
  expect(htmlReport(report)).not.toContain("Not complete");
});
