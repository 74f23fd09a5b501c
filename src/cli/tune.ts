import { MissingFeatureError, OptionError } from "../base/errors.js";
import { type BenchType, BITS, type ChoiceResult, SIZE_NAMES, type Size, tune as tuneDevice } from "../bench/index.js";
import { Device } from "../runtime/device.js";
import { storeTuning } from "../runtime/tuning.js";
import type { Arguments, Command } from "./command.js";
import type { Interruption } from "./interruption.js";
import { ProgressLine } from "./progress-line.js";

/** Autotunes the kernel parameters on this adapter, and stores them. */
export const tune: Command = {
  name: "tune",
  usage: "[options]",
  about: `Some kernels have parameters whose best values differ from GPU to GPU. This measures
them on the shapes of a model: each value is verified against a float64 reference and
timed in interleaved rounds, and must be at least 3 % faster to replace the default.
Classes of shapes, such as narrow and wide matrices, have values of their own.
The result is stored for this adapter and its driver, and is used on request: by
OCELLUS_TUNED=1 in the environment, or by Device.open({ tuned: true }).`,
  options: {
    size: { value: "SIZE", help: "shapes of which model: 0.5b or 7b (0.5b)", choices: SIZE_NAMES },
    dtype: {
      value: "TYPES",
      help: "f32, f16, bf16, q8, q4, or several with commas (f16,q4)",
      offers: Object.keys(BITS),
    },
    seconds: { value: "N", help: "duration per parameter and class of shapes (4)" },
    "dry-run": { help: "do not store the result" },
    force: { help: "run on CPU adapters too" },
    json: { help: "one JSON line per parameter, the chosen values in the last" },
  },
  examples: ["ocellus tune --size 7b", "OCELLUS_TUNED=1 ocellus bench gemm"],
  run: search,
};

async function search(given: Arguments, interruption: Interruption): Promise<void> {
  const out = process.stdout;
  const size = (given.value("size") ?? "0.5b") as Size;
  const dtypes = (given.value("dtype") ?? "f16,q4").split(",").map((text) => {
    if (Object.hasOwn(BITS, text)) return text as BenchType;
    throw bad(Object.keys(BITS).join(", "), `--dtype ${text}`, "several go with commas: --dtype f16,q4");
  });
  const seconds = given.positive("seconds");
  const { signal } = interruption;
  const progress = new ProgressLine(process.stderr);
  const json = given.has("json");
  const device = await Device.open({ tuned: false });
  try {
    const { name, onCPU } = device.facts;
    if (onCPU && !given.has("force")) {
      throw new MissingFeatureError({
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
      signal,
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
  } finally {
    progress.clear();
    device.dispose();
  }
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
  return `${name.padEnd(28)} ${parts.map((part) => part.padEnd(16)).join(" ")} → ${winner}\n`;
}
