import { type BenchType, BITS, type Measurement, measure, measurePeak, PEER_WORKLOADS } from "../bench/index.js";
import { Device } from "../runtime/device.js";
import { OptionError } from "../runtime/errors.js";
import { parse } from "./arguments.js";

const HELP = `ocellus bench [pattern] [options]

Verifies workloads against float64 references, then times them on this adapter.

  pattern            only workloads whose name matches this regular expression
  --dtype TYPES      how weights are held: f32, f16, bf16, q8, q4, or several with commas (f32)
  --seconds N        time spent on each (2)
  --features none    without subgroups, f16 and timestamps: the plain kernels
  --json             one JSON line a workload, with the adapter
  --list             the names

Workloads:
${PEER_WORKLOADS.map((workload) => `  ${workload.name.padEnd(24)} ${workload.what}`).join("\n")}
`;

const OPTIONS = {
  dtype: { type: "string" },
  seconds: { type: "string" },
  features: { type: "string" },
  json: { type: "boolean" },
  list: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** Runs the benchmarks. */
export async function bench(args: string[]): Promise<void> {
  const given = parse("bench", args, OPTIONS);
  const out = process.stdout;
  if (given.has("help")) {
    out.write(HELP);
    return;
  }
  const pattern = new RegExp(given.positionals[0] ?? "");
  const workloads = PEER_WORKLOADS.filter((workload) => pattern.test(workload.name));
  if (given.has("list")) {
    for (const { name } of workloads) out.write(`${name}\n`);
    return;
  }
  const types = (given.value("dtype") ?? "f32").split(",").map(benchType);
  const features = given.value("features") ?? "all";
  if (features !== "all" && features !== "none") {
    throw new OptionError({
      where: "ocellus bench, --features",
      expected: "all or none",
      got: features,
      remedy: "leave it out",
    });
  }
  const seconds = given.count("seconds");
  const device = await Device.open({ features });
  try {
    const peak = await measurePeak(device);
    if (!given.has("json")) {
      out.write(`adapter  ${device.facts.name}\n`);
      out.write(`peak     ${peak.gflops.toFixed(1)} GFLOP/s, ${peak.gigabytesPerSecond.toFixed(1)} GB/s\n\n`);
      out.write(
        `${line(["name", "shape", "dtype", "median ms", "min ms", "GFLOP/s", "GB/s", "share", "disp.", "error", "kernels"])}\n`,
      );
    }
    for (const workload of workloads) {
      for (const dtype of types) {
        const result = await measure(device, workload, dtype, { peak, ...(seconds !== undefined && { seconds }) });
        if (given.has("json")) {
          const { vendor, architecture, description } = device.facts;
          out.write(
            `${JSON.stringify({ ...result, peak, adapter: device.facts.name, vendor, architecture, driver: description })}\n`,
          );
        } else out.write(`${row(result)}\n`);
      }
    }
  } finally {
    device.dispose();
  }
}

function benchType(text: string): BenchType {
  if (text in BITS) return text as BenchType;
  throw new OptionError({
    where: "ocellus bench, --dtype",
    expected: Object.keys(BITS).join(", "),
    got: text,
    remedy: "several go with commas: --dtype f32,q8",
  });
}

function row(m: Measurement): string {
  return line([
    m.name,
    m.shape,
    m.dtype,
    m.medianMs.toFixed(2),
    m.minimumMs.toFixed(2),
    m.gflops.toFixed(1),
    m.gigabytesPerSecond.toFixed(2),
    `${(100 * m.share).toFixed(0)} %`,
    String(m.dispatches),
    m.relativeError.toExponential(1),
    m.algorithm,
  ]);
}

const WIDTHS = [-23, -26, -5, 10, 10, 9, 7, 6, 6, 9] as const;

function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) => {
      const width = WIDTHS[i] ?? 0;
      return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
    })
    .join(" ");
}
