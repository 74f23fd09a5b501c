/**
 * Mixtures of data files, as the model family's training code reads them (LLaVA-NeXT, `llava/train/train.py`):
 *
 *     datasets:
 *       - json_path: charts.json
 *         sampling_strategy: first:10%
 */
import { firstLineOf } from "../base/cause-message.js";
import { MissingPackageError, SourceError, shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { installCommand } from "../base/optional-packages.js";
import { shuffled } from "./random.js";
import type { RecordChoice } from "./records.js";

/** A data file of a mixture. */
export interface MixedFile {
  /** Path as it is written: relative to the mixture's folder. */
  readonly path: string;
  /** The records that are used. */
  readonly choose: RecordChoice;
}

const KEYS = ["json_path", "sampling_strategy"];
const STRATEGIES = "all, first:N, end:N or random:N, where N is a number or a percentage";

/** Reads a mixture. `seed`: of the random choices. Throws SourceError, which names file and entry; MissingPackageError. */
export async function readMixture(text: string, file: string, seed: number): Promise<MixedFile[]> {
  const { parse } = await import("yaml").catch((cause: unknown) => {
    throw new MissingPackageError({
      where: file,
      expected: "the package yaml",
      got: `an import that fails: ${firstLineOf(cause)}`,
      remedy: `run \`${installCommand("yaml")}\`, or name the data files one by one`,
      cause,
    });
  });
  let value: unknown;
  try {
    value = parse(text, { logLevel: "error" });
  } catch (cause) {
    const [got] = (cause as Error).message.split("\n");
    throw fault(file, "YAML", got!, "correct the file");
  }
  const list = isObject(value) ? value.datasets : undefined;
  if (!Array.isArray(list) || list.length === 0) {
    throw fault(file, "a list `datasets` of files", shown(list ?? value), "write datasets: [{ json_path: a.json }]");
  }
  checkKeys(value as object, ["datasets"], file);
  return list.map((entry: unknown, i) => {
    const where = `${file}, dataset ${i + 1}`;
    if (!isObject(entry))
      throw fault(where, "json_path and sampling_strategy", shown(entry), "write json_path: a.json");
    checkKeys(entry, KEYS, where);
    const { json_path: path, sampling_strategy: strategy = "all" } = entry;
    if (typeof path !== "string" || path === "") {
      throw fault(`${where}, json_path`, "the path of a file", shown(path), "write json_path: a.json");
    }
    return { path, choose: choiceOf(strategy, `${where}, sampling_strategy`, seed + i) };
  });
}

/** The choice of a sampling strategy. Percentages are rounded up, and no file has more than all of its records. */
function choiceOf(strategy: unknown, where: string, seed: number): RecordChoice {
  const wrong = () => fault(where, STRATEGIES, shown(strategy), "for example first:1000, or random:10%");
  if (strategy === "all") return (count) => range(0, count);
  const [, name, digits, percent] = /^(first|end|random):(\d+(?:\.\d+)?)(%)?$/.exec(String(strategy)) ?? [];
  const number = Number(digits);
  const isRight = percent ? number > 0 && number <= 100 : Number.isInteger(number) && number > 0;
  if (name === undefined || !isRight) throw wrong();
  return (count) => {
    const own = Math.min(count, percent ? Math.ceil((number * count) / 100) : number);
    if (name === "first") return range(0, own);
    if (name === "end") return range(count - own, count);
    return shuffled(count, seed)
      .slice(0, own)
      .sort((a, b) => a - b);
  };
}

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i);
}

function checkKeys(given: object, known: readonly string[], where: string): void {
  const other = Object.keys(given).find((key) => !known.includes(key));
  if (other === undefined) return;
  throw fault(where, known.join(" and "), `the key ${other}`, "leave it out");
}

function fault(where: string, expected: string, got: string, remedy: string): SourceError {
  return new SourceError({ where, expected, got, remedy });
}
