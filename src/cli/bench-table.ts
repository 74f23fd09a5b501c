import { type BenchMeasurement, bestProduct, type Peak, summarise } from "../bench/index.js";

/** The lines before the table. */
export function header(adapter: string, peak: Peak): string {
  const names = ["name", "shape", "dtype", "median ms", "min ms", "GFLOP/s", "GB/s", "Gw/s", "share", "disp.", "error"];
  return [
    `adapter  ${adapter}`,
    `peak     ${peak.gflops.toFixed(1)} GFLOP/s (multiply-adds in registers, ${peak.loop}), ${peak.gigabytesPerSecond.toFixed(1)} GB/s (copy)`,
    "",
    line([...names, "kernels"]),
    "",
  ].join("\n");
}

/** Formats a workload's row, with a second line for further figures. */
export function row(m: BenchMeasurement): string {
  const cells = [
    m.name,
    m.shape,
    m.dtype,
    m.medianMs.toFixed(m.medianMs < 1 ? 4 : 2),
    m.minimumMs.toFixed(m.minimumMs < 1 ? 4 : 2),
    m.flops === 0 ? "–" : m.gflops.toFixed(1),
    m.gigabytesPerSecond.toFixed(2),
    m.kind === "row product" || m.kind === "decode" ? m.gigaweightsPerSecond.toFixed(2) : "–",
    `${(100 * m.share).toFixed(0)} %`,
    String(m.dispatches),
    m.relativeError.toExponential(1),
    m.algorithm,
  ];
  const details = Object.entries(m.details ?? {}).map(([name, value]) => `    ${name.padEnd(20)} ${shown(value)}\n`);
  return `${line(cells)}\n${details.join("")}`;
}

/** Formats the lines after the table: the best matrix product, and the larger workloads relative to it. */
export function footer(run: readonly BenchMeasurement[], peak: Peak): string {
  const lines: string[] = [];
  const best = bestProduct(run);
  if (best) {
    const share = ((100 * best.gflops) / peak.gflops).toFixed(0);
    lines.push(
      `best matrix product: ${best.gflops.toFixed(1)} GFLOP/s (${best.name} ${best.dtype}), ${share} % of the peak`,
    );
  }
  for (const { name, dtype, rate, unit, beside, share } of summarise(run)) {
    lines.push(`${name} ${dtype}: ${rate.toFixed(1)} ${unit}, ${(100 * share).toFixed(0)} % of ${beside}`);
  }
  return lines.length > 0 ? `\n${lines.join("\n")}\n` : "";
}

function shown(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
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
