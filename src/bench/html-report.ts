import type { AdapterFacts } from "../runtime/adapter.js";
import { COLUMNS, cellsOf, detailText } from "./cells.js";
import { STYLE } from "./html-report-style.js";
import { escaped } from "./html-text.js";
import { peakText } from "./peak.js";
import { type RunAbout, summaryLine } from "./report.js";
import { roofline } from "./roofline.js";
import type { BenchMeasurement } from "./run.js";
import { summaryText } from "./summary.js";

/** What a report shows. */
export interface HtmlReport {
  readonly facts: AdapterFacts;
  readonly about: RunAbout;
  readonly run: readonly BenchMeasurement[];
  /** The command line that measured this. */
  readonly command: string;
  /** The operating system and the processor. */
  readonly system: string;
  /** Why the run ended before its end. */
  readonly fault?: string | undefined;
}

/**
 * Returns a page in one file, without scripts and without links to other files: the adapter, the roofline, every figure, and the JSON lines
 * of `ocellus bench --json`. Light or dark as the reader prefers; printable.
 */
export function htmlReport(report: HtmlReport): string {
  const { facts, about, run, fault } = report;
  const chart = roofline(run, about.peak);
  const lines = [...run, summaryLine(run)].map((line) => JSON.stringify({ ...line, ...about }));
  const dtypes = [...new Set(run.filter(({ flops }) => flops > 0).map(({ dtype }) => dtype))];
  const summary = summaryText(run, about.peak);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(`Ocellus bench: ${facts.name}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Ocellus bench</h1>
<p class="adapter">${escaped(facts.name)}${facts.onCPU ? ' <span class="chip">software: it runs on the CPU</span>' : ""}</p>
${fault === undefined ? "" : `<p class="fault" role="alert">Not complete: ${escaped(fault)}</p>`}
<section>
<h2>Adapter and run</h2>
<dl>
${factsOf(report)
  .map(([name, value]) => `<div><dt>${escaped(name)}</dt><dd>${escaped(value)}</dd></div>`)
  .join("\n")}
</dl>
</section>
${
  chart === ""
    ? ""
    : `<section>
<h2>Roofline</h2>
<p class="legend">${dtypes.map((dtype) => `<span><i class="key ${dtype}"></i>${dtype}</span>`).join(" ")}</p>
<div class="wide" tabindex="0" role="region" aria-label="Roofline">${chart}</div>
<p class="small">Numbers are rows of the table. The line is the peak that was measured in this run: a copy on the slope, multiply-adds in registers on the level. A dot above it is a working set that fits into a cache.</p>
</section>`
}
<section>
<h2>Measurements</h2>
${run.length === 0 ? "<p>None.</p>" : tableOf(report)}
${summary.length === 0 ? "" : `<ul class="small">${summary.map((line) => `<li>${escaped(line)}</li>`).join("")}</ul>`}
<p class="small">Every result was verified against a float64 reference before it was timed; <em>error</em> is the largest relative one. <em>share</em> is of the measured peak, of arithmetic or of memory, whichever is larger. GB/s count weights once, caches, inputs and outputs. Gw/s are billions of weights per second.</p>
</section>
<details>
<summary>JSON lines, as <code>ocellus bench --json</code> writes them</summary>
<pre tabindex="0">${escaped(lines.join("\n"))}</pre>
</details>
</main>
</body>
</html>
`;
}

function factsOf({ facts, about, command, system }: HtmlReport): [string, string][] {
  const { features, versions, tuning, peak, date } = about;
  const [least, most] = features.subgroups || [0, 0];
  const mega = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
  const yes = (value: boolean): string => (value ? "yes" : "no");
  return [
    ["Measured peak", peakText(peak)],
    ["Vendor, architecture", [facts.vendor, facts.architecture].filter(Boolean).join(", ") || "not stated"],
    ["Driver", facts.description || "not stated"],
    ["Chosen because", facts.reasons.join(" ")],
    ["Subgroups", features.subgroups ? (least === most ? `${least} lanes` : `${least} to ${most} lanes`) : "no"],
    ["f16 in shaders", yes(facts.f16)],
    ["Subgroup matrices", features.matrices || "no"],
    ["Timestamps", yes(facts.timestamps)],
    ["Binding, buffer", `${mega(facts.maxBindingBytes)}, ${mega(facts.maxBufferBytes)}`],
    ["Workgroup memory", `${facts.maxWorkgroupBytes / 1024} KiB`],
    ["Tuned parameters", tuning ? JSON.stringify(tuning) : "none"],
    [
      "Versions",
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version ?? "not known"}`)
        .join(", "),
    ],
    ["System", system],
    ["Command", command],
    ["Date", `${date.slice(0, 16).replace("T", " ")} UTC`],
  ];
}

function tableOf({ run, about: { peak } }: HtmlReport): string {
  const head = ["#", ...COLUMNS].map((name) => `<th scope="col">${name}</th>`).join("");
  const rows = run.map((m, i) => {
    const cells = cellsOf(m);
    const bound = m.gflops / peak.gflops >= m.gigabytesPerSecond / peak.gigabytesPerSecond ? "arithmetic" : "memory";
    const others = COLUMNS.slice(1).map((column) => {
      // Long lists of kernels break after a plus.
      if (column === "kernels") return `<td>${escaped(cells.kernels).replaceAll("+", "+<wbr>")}</td>`;
      if (column !== "share") return `<td>${escaped(cells[column])}</td>`;
      const filled = Math.min(100, 100 * m.share).toFixed(1);
      return `<td class="share ${bound}" title="of ${bound}"><span style="--share: ${filled}%">${cells.share}</span></td>`;
    });
    const details = Object.entries(m.details ?? {}).map(([name, value]) => `${name} ${detailText(value)}`);
    const more =
      details.length > 0
        ? `<tr class="details"><td></td><td colspan="${COLUMNS.length}">${escaped(details.join(" · "))}</td></tr>`
        : "";
    return `<tr><td>${i + 1}</td><th scope="row">${escaped(m.name)}</th>${others.join("")}</tr>${more}`;
  });
  return `<p class="legend"><span><i class="key arithmetic"></i>share of arithmetic</span> <span><i class="key memory"></i>share of memory</span></p>
<div class="wide" tabindex="0" role="region" aria-label="Measurements"><table>
<thead><tr>${head}</tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table></div>`;
}
