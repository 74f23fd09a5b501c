import type { ShaderStatistics } from "./radv.js";

/** Columns of a table that are numbers, as they are called in its first line. */
const COLUMNS = {
  registers: "registers",
  occupancy: "occupancy",
  latency: "latency",
  inverseThroughput: "inverse throughput",
} as const satisfies Partial<Record<keyof ShaderStatistics, string>>;

export type RegisterRow = Readonly<Record<keyof typeof COLUMNS, number>> & { readonly remark?: string };

/** What AMD's compiler makes of kernels, by name; `mesa` is its version. */
export interface RegisterTable {
  readonly mesa: string;
  readonly rows: ReadonlyMap<string, RegisterRow>;
}

/** By how much a kernel may become worse. */
const TOLERANCE = 1.1;

const KEYS = Object.keys(COLUMNS) as (keyof typeof COLUMNS)[];

/** Reads a table: a line with Mesa's version, one of headings, then a kernel a line; columns are two or more spaces apart. */
export function parseTable(text: string): RegisterTable {
  const [first = "", , ...lines] = text.trimEnd().split("\n");
  const rows = lines.map((line) => {
    const [name = "", ...cells] = line.split(/ {2,}/);
    const numbers = Object.fromEntries(KEYS.map((key, i) => [key, Number(cells[i])]));
    const remark = cells[KEYS.length];
    return [name, { ...numbers, ...(remark && { remark }) } as RegisterRow] as const;
  });
  return { mesa: first.replace("Mesa ", ""), rows: new Map(rows) };
}

/** The text of a table; rows keep the remarks that they have in `old`. */
export function formatTable({ mesa, rows }: RegisterTable, old?: RegisterTable): string {
  const cells = [
    ["kernel", ...Object.values(COLUMNS), "remark"],
    ...[...rows].map(([name, row]) => [
      name,
      ...KEYS.map((key) => String(row[key])),
      row.remark ?? old?.rows.get(name)?.remark ?? "",
    ]),
  ];
  const widths = cells[0]!.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  const lines = cells.map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd(),
  );
  return `Mesa ${mesa}\n${lines.join("\n")}\n`;
}

/** The kernels with more registers or latency, or less occupancy, than the table allows, and those that only one of the two has. */
export function worseThan(table: RegisterTable, now: RegisterTable["rows"]): string[] {
  const faults = [...table.rows.keys()].filter((name) => !now.has(name)).map((name) => `${name}: only in the table`);
  for (const [name, row] of now) {
    const known = table.rows.get(name);
    if (!known) faults.push(`${name}: not in the table`);
    else {
      for (const key of ["registers", "latency"] as const) {
        if (row[key] > known[key] * TOLERANCE) faults.push(`${name}: ${key} ${row[key]}, in the table ${known[key]}`);
      }
      if (row.occupancy * TOLERANCE < known.occupancy) {
        faults.push(`${name}: occupancy ${row.occupancy}, in the table ${known.occupancy}`);
      }
    }
  }
  return faults;
}
