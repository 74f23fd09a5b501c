import { OptionError } from "../base/errors.js";
import { type BenchType, BITS, type ChoiceResult, SIZE_NAMES, type Size, tune as tuneDevice } from "../bench/index.js";
import { Device } from "../runtime/device.js";
import { storeTuning } from "../runtime/tuning.js";
import { parse } from "./arguments.js";
import { ProgressLine } from "./progress-line.js";

const HELP = `ocellus tune [options]

Some kernels have parameters whose best values differ from GPU to GPU. This measures them on the shapes of a model. Each value is
verified against a float64 reference and timed in interleaved rounds. A value must be at least 3 % faster to replace the default.
The result is stored for this adapter and its driver, and is used on request: by OCELLUS_TUNED=1 in the
environment, or by \`Device.open({ tuned: true })\`.

  --size SIZE        0.5b or 7b: shapes of which model (0.5b)
  --dtype TYPES      storage dtype of weights: f32, f16, bf16, q8, q4, or several with commas (f16,q4)
  --seconds N        duration per parameter (4)
  --dry-run          do not store the result
  --force            run on CPU adapters too
  --json             one JSON line per parameter, and the chosen values in the last
`;

const OPTIONS = {
  size: { type: "string" },
  dtype: { type: "string" },
  seconds: { type: "string" },
  "dry-run": { type: "boolean" },
  force: { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** Autotunes the kernel parameters on this adapter, and stores them. */
export async function tune(args: string[]): Promise<void> {
  const given = parse("tune", args, OPTIONS);
  const out = process.stdout;
  if (given.has("help")) {
    out.write(HELP);
    return;
  }
  if (given.positionals.length > 0) throw bad("options only", given.positionals.join(" "), "run `ocellus tune --help`");
  const size = given.value("size") ?? "0.5b";
  if (!isSize(size)) throw bad(SIZE_NAMES.join(" or "), `--size ${size}`, "leave it out for 0.5b");
  const dtypes = (given.value("dtype") ?? "f16,q4").split(",").map((text) => {
    if (text in BITS) return text as BenchType;
    throw bad(Object.keys(BITS).join(", "), `--dtype ${text}`, "several go with commas: --dtype f16,q4");
  });
  const seconds = given.count("seconds");
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.once("SIGINT", stop);
  const progress = new ProgressLine(process.stderr);
  const json = given.has("json");
  const device = await Device.open({ tuned: false });
  try {
    const { name, onCPU } = device.facts;
    if (onCPU && !given.has("force")) {
      throw new OptionError({
        where: "ocellus tune",
        expected: "a GPU",
        got: `${name}, which runs on the CPU`,
        remedy: "its kernels use their best values by default; --force measures anyway",
      });
    }
    if (!json) out.write(`adapter  ${name}\n\n`);
    const tuning = await tuneDevice(device, {
      size,
      dtypes,
      signal: abort.signal,
      ...(seconds !== undefined && { seconds }),
      onProgress: (choice, stage) => progress.text(`${choice}: ${stage}`),
      onResult(result) {
        progress.clear();
        out.write(json ? `${JSON.stringify({ adapter: name, size, dtypes, ...result })}\n` : linesOf(result));
      },
    });
    const path = given.has("dry-run") ? undefined : await storeTuning(name, tuning);
    if (json) {
      out.write(`${JSON.stringify({ adapter: name, size, dtypes, tuning, path, date: new Date().toISOString() })}\n`);
      return;
    }
    const words = Object.entries(tuning).map(([choice, value]) => `${choice} = ${value}`);
    out.write(`\n${words.length > 0 ? words.join(", ") : "No value is 3 % faster than the default."}\n`);
    if (path !== undefined) out.write(`Stored in ${path}. OCELLUS_TUNED=1 enables it.\n`);
  } catch (cause) {
    if (!abort.signal.aborted) throw cause;
    process.exitCode = 130;
  } finally {
    process.removeListener("SIGINT", stop);
    progress.clear();
    device.dispose();
  }
}

function isSize(text: string): text is Size {
  return (SIZE_NAMES as readonly string[]).includes(text);
}

function bad(expected: string, got: string, remedy: string): OptionError {
  return new OptionError({ where: "ocellus tune", expected, got, remedy });
}

/** `matvec.slices    8: 100 %   4: 112 %   2: wrong (1.0e-1)   → 8` */
function linesOf({ name, winner, trials }: ChoiceResult): string {
  const parts = trials.map(({ value, ratio, relativeError }) => {
    const told =
      ratio === undefined ? `not timed, error ${relativeError.toExponential(1)}` : `${(100 * ratio).toFixed(0)} %`;
    return `${value}: ${told}`;
  });
  return `${name.padEnd(22)} ${parts.map((part) => part.padEnd(16)).join(" ")} → ${winner}\n`;
}
