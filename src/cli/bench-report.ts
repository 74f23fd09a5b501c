import { writeFile } from "node:fs/promises";
import { arch, cpus, homedir, release, totalmem, type } from "node:os";
import { basename } from "node:path";
import { platform } from "#platform";
import { type BenchMeasurement, htmlReport, type RunAbout } from "../bench/index.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import type { Arguments } from "./command.js";
import { notWritable } from "./output.js";

/** The page of `--report`. It is written after each workload, so that what ends the process leaves the figures before it. */
export class ReportFile {
  readonly #facts: AdapterFacts;

  constructor(
    readonly path: string,
    facts: AdapterFacts,
    readonly about: RunAbout,
    readonly command: string,
  ) {
    // Reports are published, and the reasons may have paths with the user's name.
    const { path: settings = homedir() } = platform.settings ?? {};
    const reasons = facts.reasons.map((reason) => reason.replaceAll(settings, basename(settings)));
    this.#facts = { ...facts, reasons: reasons.map((reason) => reason.replaceAll(homedir(), "~")) };
  }

  /** Writes the page; `fault` is why the run is not complete. Throws SourceError if it cannot be written. */
  async write(run: readonly BenchMeasurement[], fault?: string): Promise<void> {
    const { about, command, path } = this;
    try {
      await writeFile(path, htmlReport({ facts: this.#facts, about, run, command, system: systemText(), fault }));
    } catch (cause) {
      throw notWritable(path, cause);
    }
  }
}

/** The command line, without the paths that are nobody's business. */
export function commandText({ where, ordered, positionals }: Arguments): string {
  const options = ordered
    .filter(({ name }) => name !== "report")
    .map(({ name, value }) => {
      if (value === undefined) return `--${name}`;
      return `--${name} ${name === "checkpoint" ? "…" : quoted(value)}`;
    });
  return [where, ...positionals.map(quoted), ...options].join(" ");
}

function quoted(word: string): string {
  return /^[\w.,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** `Linux 6.1.0 x64, AMD EPYC 9R14 × 2, 16 GB` */
function systemText(): string {
  const processors = cpus();
  const processor = `${processors[0]?.model.trim() ?? "an unknown processor"} × ${processors.length}`;
  return `${type()} ${release()} ${arch()}, ${processor}, ${Math.round(totalmem() / 1e9)} GB`;
}
