import type { LoadMeasurement } from "./load.js";
import type { Spread } from "./spread.js";

const COLUMNS = [
  ["prompt", -8],
  ["prefix", -9],
  ["clients", 7],
  ["answers", 8],
  ["tokens/s", 9],
  ["× one", 6],
  ["× alone", 8],
  ["first token ms", 22],
  ["between tokens ms", 20],
  ["cached", 7],
] as const;

/** The line above the rows; three figures in a cell are p50, p95 and p99. */
export function loadHeader(): string {
  return line(COLUMNS.map(([name]) => name));
}

/** A row; `one` is the same load with one client, `alone` the same of a server that answers one request at a time. */
export function loadRow(m: LoadMeasurement, one?: LoadMeasurement, alone?: LoadMeasurement): string {
  return line([
    m.prompt,
    m.prefix,
    String(m.clients),
    m.failed > 0 ? `${m.answers} (${m.failed} failed)` : String(m.answers),
    m.tokensPerSecond.toFixed(1),
    one ? ratio(m, one).toFixed(2) : "–",
    alone ? ratio(m, alone).toFixed(2) : "–",
    spread(m.firstTokenMs, 0),
    spread(m.betweenTokensMs, 1),
    m.cachedShare === undefined ? "–" : `${(100 * m.cachedShare).toFixed(0)} %`,
  ]);
}

/** Tokens a second relative to another measurement. */
export function ratio(m: LoadMeasurement, other: LoadMeasurement): number {
  return m.tokensPerSecond / other.tokensPerSecond;
}

function spread(figures: Spread | undefined, digits: number): string {
  if (!figures) return "–";
  return [figures.p50, figures.p95, figures.p99].map((ms) => ms.toFixed(digits)).join(" / ");
}

function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) => {
      const width = COLUMNS[i]?.[1] ?? 0;
      return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
    })
    .join(" ")
    .trimEnd();
}
