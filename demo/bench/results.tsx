import { useSignal } from "@preact/signals";
import { download } from "../download.js";
import { FaultText } from "../fault-view.js";
import { compared, ratioOf } from "./comparison.js";
import { Comparison } from "./comparison-view.js";
import { faults, lines, report, results, stoppedAt } from "./run.js";

const COLUMNS = [
  "Workload",
  "Shape",
  "Storage dtype",
  "Median ms",
  "Min ms",
  "GFLOP/s",
  "GB/s",
  "Share of peak",
  "Error",
  "Kernels",
];

/** Table of the results, and the same as JSON. */
export function Results() {
  const copied = useSignal(false);
  const text = lines.value.map((line) => JSON.stringify(line)).join("\n");
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    copied.value = true;
  };
  if (results.value.length + faults.value.length === 0 && !stoppedAt.value) return null;
  const columns = compared.value ? [...COLUMNS, "Against the other"] : COLUMNS;
  return (
    <section class="card stack" aria-labelledby="results">
      <h2 id="results">Results</h2>
      {faults.value.map(({ fault, job }) => (
        <FaultText key={job ? job.name + job.dtype : ""} fault={fault} />
      ))}
      {stoppedAt.value && (
        <p role="status">
          Stopped after {stoppedAt.value.done} of {stoppedAt.value.total} workloads.
        </p>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <section class="wide" aria-label="Table of results" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {columns.map((name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {results.value.map((m) => (
              <tr key={`${m.name} ${m.dtype}`} data-error={m.relativeError}>
                <th scope="row">{m.name}</th>
                <td>{m.shape}</td>
                <td>{m.dtype}</td>
                <td>{inMilliseconds(m.medianMs)}</td>
                <td>{inMilliseconds(m.minimumMs)}</td>
                <td>{m.flops === 0 ? "–" : m.gflops.toFixed(1)}</td>
                <td>{m.gigabytesPerSecond.toFixed(2)}</td>
                <td>{(100 * m.share).toFixed(0)} %</td>
                <td>{m.relativeError.toExponential(1)}</td>
                <td class="small">{m.algorithm}</td>
                {compared.value && <td>{ratioOf(m)}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {text !== "" && (
        <div class="row">
          <button type="button" onClick={copy}>
            {copied.value ? "Copied" : "Copy JSON lines"}
          </button>
          <button
            type="button"
            onClick={() => download(new Blob([text], { type: "application/x-ndjson" }), "ocellus-bench.jsonl")}
          >
            Download JSON lines
          </button>
          <button
            type="button"
            onClick={() => download(new Blob([report.value], { type: "text/html" }), "ocellus-bench.html")}
          >
            Download report
          </button>
        </div>
      )}
      <Comparison />
    </section>
  );
}

function inMilliseconds(value: number): string {
  return value.toFixed(value < 1 ? 4 : 2);
}
