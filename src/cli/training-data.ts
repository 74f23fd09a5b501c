import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OcellusError, SourceError } from "../base/errors.js";
import { pictureSize } from "../io/picture-input.js";
import { fileSource } from "../io/source.js";
import { type MixedFile, readMixture } from "../training/mixture.js";
import { findParquetRecords } from "../training/parquet-records.js";
import { atRecord, badRecords, brief, MOST_LISTED } from "../training/record-faults.js";
import { type FoundRecords, findTrainingRecords } from "../training/records.js";
import type { TrainingRecord } from "../training/samples.js";
import { pathsBelow, readText } from "./input-file.js";
import { note } from "./note.js";

/** How data files are read. */
export interface DataOptions {
  /** Folder of pictures and clips; the folder of each file if not given. */
  readonly media: string | undefined;
  /** Whether bad records are left out, and reported. */
  readonly skipBad: boolean;
  /** Seed of the random choices of mixtures. */
  readonly seed: number;
}

/**
 * Reads the records of JSON, JSON lines, Parquet and mixtures of them (YAML), and looks for the pictures and clips of all records: those of
 * Parquet are inside. Bad records are listed on standard error. Throws SourceError, PromptError and MediaError with file and line or row.
 */
export async function readTrainingData(paths: readonly string[], options: DataOptions): Promise<TrainingRecord[]> {
  const records: TrainingRecord[] = [];
  const faults: OcellusError[] = [];
  for (const path of paths) {
    for (const file of await filesOf(path, options.seed)) {
      const found = await foundIn(file, options.media);
      faults.push(...found.faults);
      for (const record of found.records) {
        const fault = await missingMedium(record);
        if (fault) faults.push(fault);
        else records.push(record);
      }
    }
  }
  report(faults, records.length, options.skipBad);
  return records;
}

/** The files of a path: itself, the `metadata.jsonl` of a folder, or those of a mixture. */
async function filesOf(path: string, seed: number): Promise<(Pick<MixedFile, "path"> & Partial<MixedFile>)[]> {
  if (!/\.ya?ml$/i.test(path)) return [{ path }];
  const below = pathsBelow(dirname(path));
  const files = await readMixture(await readText(path, "DATA"), path, seed);
  return files.map((file) => ({ ...file, path: below(file.path) }));
}

async function foundIn({ path, choose }: Pick<MixedFile, "path"> & Partial<MixedFile>, media: string | undefined) {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory();
  const file = isFolder ? join(path, "metadata.jsonl") : path;
  const pathOf = pathsBelow(media ?? dirname(file));
  if (/\.parquet$/i.test(file)) return findParquetRecords(() => fileSource(file), pathOf, choose);
  return findTrainingRecords(await readText(file, "DATA"), file, pathOf, choose) satisfies FoundRecords;
}

/** What is wrong with the pictures and clips of a record: a file that is not there, or a picture without a readable header. */
async function missingMedium({ messages, where = "record", load }: TrainingRecord): Promise<OcellusError | undefined> {
  const media = messages.flatMap(({ content }) => (typeof content === "string" ? [] : content.flatMap(pathsOf)));
  for (const { path, isPicture } of media) {
    // Pictures inside a file were read with it.
    if (/^[a-z]+:/i.test(path) || (load && path.startsWith(`${where}, `))) continue;
    if (!existsSync(path)) {
      return new SourceError({
        where,
        expected: "its pictures and clips",
        got: `no file ${path}`,
        remedy: "correct the path, or name the folder with --media",
      });
    }
    if (!isPicture) continue;
    try {
      const source = await fileSource(path);
      await pictureSize(source).finally(() => source.close());
    } catch (error) {
      const fault = atRecord(error, where);
      if (!(fault instanceof OcellusError)) throw error;
      return fault;
    }
  }
  return undefined;
}

/** The paths of a part of a message. */
function pathsOf(part: object): { path: string; isPicture: boolean }[] {
  const { image, video, frames } = part as { image?: unknown; video?: unknown; frames?: unknown };
  const all = [image, ...(Array.isArray(frames) ? frames : [])].map((path) => ({ path, isPicture: true }));
  return [...all, { path: video, isPicture: false }].filter(
    (one): one is { path: string; isPicture: boolean } => typeof one.path === "string",
  );
}

/** Lists bad records. Throws unless they may be left out. */
function report(faults: readonly OcellusError[], good: number, skipBad: boolean): void {
  if (faults.length === 0) return;
  const count = good + faults.length;
  if (!skipBad && faults.length === 1) throw badRecords(faults, count);
  for (const fault of faults.slice(0, MOST_LISTED)) note(brief(fault));
  if (faults.length > MOST_LISTED) note(`and ${faults.length - MOST_LISTED} more`);
  if (skipBad && good > 0) {
    note(`Skipped ${faults.length} bad records of ${count}.`);
    return;
  }
  throw new SourceError({
    where: "DATA",
    expected: "records with a question and an answer",
    got: `${faults.length} bad ones of ${count}, listed above`,
    remedy: skipBad ? "give files with records that can be read" : "correct these records, or add --skip-bad",
  });
}
