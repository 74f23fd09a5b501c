import { KernelError, OptionError } from "../base/errors.js";
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
import type { AdapterFacts } from "../runtime/adapter.js";
import { Device } from "../runtime/device.js";
import { commandText, ReportFile } from "./bench-report.js";
import { footer, header, row } from "./bench-table.js";
import type { Arguments, Command } from "./command.js";
import type { Interruption } from "./interruption.js";
import { ProgressLine } from "./progress-line.js";
import { versionOf } from "./version.js";

const KERNELS = [...KERNEL_WORKLOADS, ...PEER_WORKLOADS];

/** Runs the benchmarks. */
export const bench: Command = {
  name: "bench",
  usage: "[pattern] [options]",
  about: `Verifies workloads against float64 references, then times them on this adapter:
those whose name matches the regular expression, or all except the models.
OCELLUS_TUNED=1 in the environment uses the parameters that ocellus tune stored,
OCELLUS_TUNING='{"matvec.slices":16}' those that it states.`,
  options: {
    all: { help: "include the models" },
    dtype: {
      value: "TYPES",
      help: "weights as f32, f16, bf16, q8, q4, or several with commas (f32; models q4, their tower f16)",
      offers: Object.keys(BITS),
    },
    seconds: { value: "N", help: "duration of each measurement (2)" },
    checkpoint: { value: "DIR", help: "weights of the models, instead of random ones", path: true },
    features: {
      value: "WHICH",
      help: "none disables subgroups, f16 and timestamps, and so measures the fallback kernels (all)",
      choices: ["all", "none"],
      rare: true,
    },
    "no-f16": { help: "disable f16, and subgroup matrices of f16", rare: true },
    "no-matrices": { help: "disable subgroup matrices", rare: true },
    report: {
      value: "FILE",
      help: "a page with the adapter and all figures, to attach to an issue",
      path: true,
    },
    json: { help: "one JSON line per workload, and a summary" },
    list: { help: "list the workloads" },
  },
  mostPositionals: 1,
  // `bench serve` is a command of its own.
  words: ["serve", ...[...KERNELS, ...MODEL_WORKLOADS].map(({ name }) => name)],
  examples: [
    "ocellus bench gemm --dtype f32,q8,q4",
    "ocellus bench --dtype f16,q4 --report report.html",
    "ocellus bench '^rope$|decode' --json",
  ],
  notes: `Workloads:
${[...KERNELS, ...MODEL_WORKLOADS].map(({ name, what }) => `  ${name.padEnd(24)} ${what}`).join("\n")}`,
  run: measureAll,
};

async function measureAll(given: Arguments, interruption: Interruption): Promise<void> {
  const out = process.stdout;
  const { kernels, models } = chosen(given.positionals, given.has("all"));
  if (given.has("list")) {
    for (const { name } of [...kernels, ...models]) out.write(`${name}\n`);
    return;
  }
  const types = given.value("dtype")?.split(",").map(benchType);
  const features = (given.value("features") ?? "all") as "all" | "none";
  const seconds = given.positive("seconds");
  const checkpoint = given.value("checkpoint");
  const { signal } = interruption;
  const progress = new ProgressLine(process.stderr);
  const device = await Device.open({
    features,
    f16: !given.has("no-f16"),
    matrices: !given.has("no-matrices"),
  });
  try {
    progress.text("measuring the adapter's peak");
    const peak = await measurePeak(device, signal);
    progress.clear();
    const about = aboutThis(device.facts, peak);
    const path = given.value("report");
    const report = path === undefined ? undefined : new ReportFile(path, device.facts, about, commandText(given));
    await report?.write([], NOT_ENDED);
    const output = given.has("json") ? new Lines(about) : new Table(device.facts.name, peak);
    const options = (name: string, dtype: string): MeasureOptions => ({
      peak,
      signal,
      ...(seconds !== undefined && { seconds }),
      onStage: (stage) => progress.text(`${name} in ${dtype}: ${stage}`),
    });
    const done: BenchMeasurement[] = [];
    const faults: string[] = [];
    const say = async (measured: BenchMeasurement): Promise<void> => {
      progress.clear();
      done.push(measured);
      output.say(measured);
      await report?.write(done, NOT_ENDED);
    };
    for (const workload of kernels) {
      for (const dtype of workload.weights === 0 ? ["f32" as const] : (types ?? ["f32"])) {
        try {
          await say(await measure(device, workload, dtype, options(workload.name, dtype)));
        } catch (error) {
          // The others may be right, and their figures help to find the reason.
          if (!(error instanceof KernelError)) throw error;
          progress.clear();
          process.stderr.write(`ocellus: ${error.message}\n`);
          process.exitCode = 1;
          faults.push(error.message);
        }
      }
    }
    for (const dtype of models.length > 0 ? (types ?? ["q4"]) : []) {
      const loading = { ...options("model", dtype), ...(checkpoint !== undefined && { checkpoint }) };
      const model = await ModelBench.open(device, dtype, loading);
      try {
        for (const workload of models) {
          progress.text(`${workload.name} in ${dtype}: timing`);
          await say(await workload.run(model));
        }
      } finally {
        model.dispose();
      }
    }
    output.end(done);
    await report?.write(done, faults.length > 0 ? faults.join(" ") : undefined);
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
  const [text] = positionals;
  if (text === undefined) return { kernels: KERNELS, models: all ? MODEL_WORKLOADS : [] };
  const where = "ocellus bench, pattern";
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

/** What a report says until the run has ended. */
const NOT_ENDED = "the run did not come to its end.";

/** The environment of a run, with the versions of this process. */
function aboutThis(facts: AdapterFacts, peak: Peak): RunAbout {
  return aboutRun(facts, peak, {
    ocellus: versionOf("../../package.json"),
    node: process.version,
    // Dawn does not report its version; the npm package has one.
    webgpu: versionOf("webgpu/package.json"),
  });
}

/** Human-readable output. */
class Table {
  constructor(
    adapter: string,
    readonly peak: Peak,
  ) {
    process.stdout.write(header(adapter, peak));
  }

  say(measured: BenchMeasurement): void {
    process.stdout.write(row(measured));
  }

  end(run: readonly BenchMeasurement[]): void {
    process.stdout.write(footer(run, this.peak));
  }
}

/** JSON Lines output, with the environment needed to compare runs. */
class Lines {
  constructor(readonly about: RunAbout) {}

  say(measured: BenchMeasurement): void {
    this.#write(measured);
  }

  end(run: readonly BenchMeasurement[]): void {
    this.#write(summaryLine(run));
  }

  #write(what: object): void {
    process.stdout.write(`${JSON.stringify({ ...what, ...this.about })}\n`);
  }
}
