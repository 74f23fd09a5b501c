import { createRequire } from "node:module";
import { OptionError } from "../base/errors.js";
import { suggestion } from "../base/options.js";
import {
  aboutRun,
  type BenchMeasurement,
  type BenchType,
  BITS,
  KERNEL_WORKLOADS,
  type MeasureOptions,
  MODEL_WORKLOADS,
  ModelBench,
  measure,
  measurePeak,
  PEER_WORKLOADS,
  type Peak,
  type RunAbout,
  summaryLine,
} from "../bench/index.js";
import { Device } from "../runtime/device.js";
import { parse } from "./arguments.js";
import { footer, header, row } from "./bench-table.js";
import { ProgressLine } from "./progress-line.js";

const KERNELS = [...KERNEL_WORKLOADS, ...PEER_WORKLOADS];

const HELP = `ocellus bench [pattern] [options]

Verifies workloads against float64 references, then times them on this adapter.

  pattern            only workloads whose name matches this regular expression; without one all except the models
  --all              include the models
  --dtype TYPES      storage dtype of weights: f32, f16, bf16, q8, q4, or several with commas (f32; models q4, their tower f16)
  --seconds N        duration of each measurement (2)
  --checkpoint DIR   use this checkpoint instead of random weights for the models
  --features none    disable subgroups, f16 and timestamps: measures the fallback kernels
  --json             one JSON line per workload, with the adapter, and a summary line
  --list             list the workload names

OCELLUS_TUNED=1 in the environment uses the parameters that \`ocellus tune\` stored.

Workloads:
${[...KERNELS, ...MODEL_WORKLOADS].map(({ name, what }) => `  ${name.padEnd(24)} ${what}`).join("\n")}
`;

const OPTIONS = {
  all: { type: "boolean" },
  dtype: { type: "string" },
  seconds: { type: "string" },
  checkpoint: { type: "string" },
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
  const { kernels, models } = chosen(given.positionals, given.has("all"));
  if (given.has("list")) {
    for (const { name } of [...kernels, ...models]) out.write(`${name}\n`);
    return;
  }
  const types = given.value("dtype")?.split(",").map(benchType);
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
  const checkpoint = given.value("checkpoint");
  const abort = new AbortController();
  process.once("SIGINT", () => abort.abort());
  const { signal } = abort;
  const progress = new ProgressLine(process.stderr);
  const device = await Device.open({ features });
  try {
    progress.text("measuring the adapter's peak");
    const peak = await measurePeak(device);
    progress.clear();
    const report = given.has("json") ? new Lines(device, peak) : new Table(device, peak);
    const options = (name: string, dtype: string): MeasureOptions => ({
      peak,
      signal,
      ...(seconds !== undefined && { seconds }),
      onStage: (stage) => progress.text(`${name} in ${dtype}: ${stage}`),
    });
    const done: BenchMeasurement[] = [];
    const say = (measured: BenchMeasurement): void => {
      progress.clear();
      done.push(measured);
      report.say(measured);
    };
    for (const workload of kernels) {
      for (const dtype of workload.weights === 0 ? ["f32" as const] : (types ?? ["f32"])) {
        say(await measure(device, workload, dtype, options(workload.name, dtype)));
      }
    }
    for (const dtype of models.length > 0 ? (types ?? ["q4"]) : []) {
      const loading = { ...options("model", dtype), ...(checkpoint !== undefined && { checkpoint }) };
      const model = await ModelBench.open(device, dtype, loading);
      try {
        for (const workload of models) {
          progress.text(`${workload.name} in ${dtype}: timing`);
          say(await workload.run(model));
        }
      } finally {
        model.dispose();
      }
    }
    report.end(done);
  } catch (cause) {
    if (!signal.aborted) throw cause;
    process.exitCode = 130;
  } finally {
    progress.clear();
    device.dispose();
  }
}

/** Returns the workloads that match a pattern. Throws OptionError if there are none. */
function chosen(
  positionals: readonly string[],
  all: boolean,
): { kernels: typeof KERNELS; models: typeof MODEL_WORKLOADS } {
  const [text, ...more] = positionals;
  if (text === undefined) return { kernels: KERNELS, models: all ? MODEL_WORKLOADS : [] };
  const where = "ocellus bench, pattern";
  if (more.length > 0) {
    const remedy = `several names are one pattern: "${positionals.join("|")}"`;
    throw new OptionError({ where, expected: "one", got: positionals.join(" "), remedy });
  }
  let pattern: RegExp;
  try {
    pattern = new RegExp(text);
  } catch (cause) {
    throw new OptionError({
      where,
      expected: "a regular expression",
      got: cause instanceof Error ? cause.message : text,
      remedy: "`ocellus bench --list` prints the names",
    });
  }
  const kernels = KERNELS.filter(({ name }) => pattern.test(name));
  const models = MODEL_WORKLOADS.filter(({ name }) => pattern.test(name));
  if (kernels.length + models.length > 0) return { kernels, models };
  const names = [...KERNELS, ...MODEL_WORKLOADS].map(({ name }) => name);
  throw new OptionError({
    where,
    expected: `the name of a workload, or part of one: ${names.join(", ")}`,
    got: text,
    remedy: suggestion(text, names, String) ?? "`ocellus bench --list` prints the names",
  });
}

function benchType(text: string): BenchType {
  if (Object.hasOwn(BITS, text)) return text as BenchType;
  throw new OptionError({
    where: "ocellus bench, --dtype",
    expected: Object.keys(BITS).join(", "),
    got: text,
    remedy: "several go with commas: --dtype f32,q8",
  });
}

/** Human-readable output. */
class Table {
  constructor(
    device: Device,
    readonly peak: Peak,
  ) {
    process.stdout.write(header(device.facts.name, peak));
  }

  say(measured: BenchMeasurement): void {
    process.stdout.write(row(measured));
  }

  end(run: readonly BenchMeasurement[]): void {
    process.stdout.write(footer(run, this.peak));
  }
}

/** Reads the version in a package.json; undefined if there is none. */
function versionOf(path: string): string | undefined {
  try {
    return (createRequire(import.meta.url)(path) as { version?: string }).version;
  } catch {
    return undefined;
  }
}

/** JSON Lines output, with the environment needed to compare runs. */
class Lines {
  readonly #about: RunAbout;

  constructor(device: Device, peak: Peak) {
    this.#about = aboutRun(device.facts, peak, {
      ocellus: versionOf("../../package.json"),
      node: process.version,
      // Dawn does not report its version; the npm package has one.
      webgpu: versionOf("webgpu/package.json"),
    });
  }

  say(measured: BenchMeasurement): void {
    this.#write(measured);
  }

  end(run: readonly BenchMeasurement[]): void {
    this.#write(summaryLine(run));
  }

  #write(what: object): void {
    process.stdout.write(`${JSON.stringify({ ...what, ...this.#about })}\n`);
  }
}
