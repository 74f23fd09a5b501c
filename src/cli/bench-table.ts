import { COLUMNS, cellsOf, detailText } from "../bench/cells.js";
import { type BenchMeasurement, type Peak, peakText, summaryText } from "../bench/index.js";

/** The lines before the table. */
export function header(adapter: string, peak: Peak): string {
  return [`adapter  ${adapter}`, `peak     ${peakText(peak)}`, "", line(COLUMNS), ""].join("\n");
}

/** Formats a workload's row, with a second line for further figures. */
export function row(m: BenchMeasurement): string {
  const cells = cellsOf(m);
  const details = Object.entries(m.details ?? {}).map(
    ([name, value]) => `    ${name.padEnd(20)} ${detailText(value)}\n`,
  );
  return `${line(COLUMNS.map((column) => cells[column]))}\n${details.join("")}`;
}

/** Formats the lines after the table: the best matrix product, and the larger workloads relative to it. */
export function footer(run: readonly BenchMeasurement[], peak: Peak): string {
  const lines = summaryText(run, peak);
  return lines.length > 0 ? `\n${lines.join("\n")}\n` : "";
}

const WIDTHS = [-23, -26, -5, 10, 10, 9, 7, 6, 6, 6, 9] as const;

function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) => {
      const width = WIDTHS[i] ?? 0;
      return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
    })
    .join(" ")
    .trimEnd();
}
