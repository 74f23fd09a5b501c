import { signal } from "@preact/signals";
import type { BenchMeasurement } from "ocellus/bench";

/** A report of another run or machine: its adapter, and the median milliseconds by workload and storage dtype. */
interface Report {
  readonly adapter: string;
  readonly medianMs: ReadonlyMap<string, number>;
}

export const compared = signal<Report | undefined>(undefined);

/** Reads the JSON lines of a report, as this page and `ocellus bench --json` write them. Throws an Error for another text. */
export function readReport(text: string): Report {
  const medianMs = new Map<string, number>();
  let adapter = "another adapter";
  for (const line of text.split("\n").filter((line) => line.trim() !== "")) {
    let value: Record<string, unknown>;
    try {
      value = Object(JSON.parse(line));
    } catch {
      throw new Error("This is no report: each line is a JSON object, as “Copy JSON lines” copies them.");
    }
    if (typeof value.adapter === "string") adapter = value.adapter;
    if (typeof value.medianMs === "number") medianMs.set(`${value.name} ${value.dtype}`, value.medianMs);
  }
  if (medianMs.size === 0) throw new Error("This report has no measured workload.");
  return { adapter, medianMs };
}

/** How many times as fast as the other report a workload was; a dash if the other has not measured it. */
export function ratioOf({ name, dtype, medianMs }: Pick<BenchMeasurement, "name" | "dtype" | "medianMs">): string {
  const other = compared.value?.medianMs.get(`${name} ${dtype}`);
  return other === undefined ? "–" : `${(other / medianMs).toFixed(2)}×`;
}
