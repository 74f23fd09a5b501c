/**
 * Records of Parquet files, as those of LLaVA-OneVision-Data on the Hub: columns `conversations` (a list of `from` and `value`) and
 * `image` (`bytes` and `path`). Columns may have the names of any form of `scoring/records.ts`. Pictures are not kept: they are read again,
 * with the row group that has them, when their record is prepared.
 */
import { SourceError } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { inspectPicture } from "../io/picture-input.js";
import { blobSource, type OpenSource } from "../io/source.js";
import type { MediaPath } from "../scoring/records.js";
import { ParquetRows, type Row } from "./parquet-rows.js";
import { type SkipBad, skipOrThrow } from "./record-faults.js";
import { type FoundRecords, type RecordChoice, RecordCollector, trainingRecord } from "./records.js";
import type { TrainingMessage, TrainingRecord } from "./samples.js";

/** Columns with a picture, or a list of pictures. */
const PICTURES = ["image", "images"];
const OTHERS = ["video", "videos", "conversations", "messages", "question", "answer", "answers"];

/**
 * Reads the records of a Parquet file. The texts stay in memory; pictures are read from the file when they are needed. Bad rows are left
 * out if `skipBad` receives what is wrong with them; otherwise throws SourceError, PromptError and MediaError, which name the row.
 */
export async function readParquetRecords(
  file: Blob,
  name: string,
  pathOf: MediaPath = (path) => path,
  skipBad?: SkipBad,
): Promise<TrainingRecord[]> {
  const { records, faults } = await findParquetRecords(() => blobSource(file, name), pathOf);
  skipOrThrow(faults, records.length, skipBad);
  return [...records];
}

/**
 * Reads the records of a Parquet file, one row group at a time, and collects what is wrong with single rows. Throws SourceError for what
 * is wrong with the file.
 */
export async function findParquetRecords(
  file: OpenSource,
  pathOf: MediaPath = (path) => path,
  choose?: RecordChoice,
): Promise<FoundRecords> {
  const rows = await ParquetRows.open(file, [...PICTURES, ...OTHERS]);
  if (!rows.columns.some((name) => ["conversations", "messages", "question"].includes(name))) {
    throw new SourceError({
      where: rows.name,
      expected: "a column conversations, messages or question",
      got: `the columns ${rows.columns.join(", ") || "of other names"}`,
      remedy: "name the columns as in LLaVA-OneVision-Data: conversations and image",
    });
  }
  const collected = new RecordCollector();
  const chosen = choose?.(rows.count);
  for (let i = 0; i < (chosen?.length ?? rows.count); i++) {
    const index = chosen ? chosen[i]! : i;
    const row = await rows.at(index);
    collected.add(() => recordOf(row, index, rows, pathOf));
  }
  return collected;
}

/** The record of a row. Throws SourceError, PromptError, MediaError. */
function recordOf(row: Row, index: number, rows: ParquetRows, pathOf: MediaPath): TrainingRecord {
  const where = `${rows.name}, row ${index + 1}`;
  const { value, inside } = withNames(row, where);
  for (const [name, bytes] of inside) inspectPicture(bytes, name);
  const record = trainingRecord({ where, value }, (path) => (inside.has(path) ? path : pathOf(path)));
  if (inside.size === 0) return record;
  return { ...record, load: async () => withBytes(record.messages, withNames(await rows.at(index), where).inside) };
}

/** The row with names in the place of pictures that have bytes, and their bytes. Throws SourceError for a picture without any. */
function withNames(row: Row, where: string): { value: Row; inside: Map<string, Uint8Array> } {
  const inside = new Map<string, Uint8Array>();
  const nameOf = (picture: unknown): unknown => {
    if (!isObject(picture)) return picture;
    const { bytes, path } = picture;
    if (bytes instanceof Uint8Array) {
      const name = `${where}, picture ${inside.size + 1}`;
      inside.set(name, bytes);
      return name;
    }
    if (typeof path === "string") return path;
    throw new SourceError({
      where: `${where}, image`,
      expected: "bytes or a path",
      got: `fields ${Object.keys(picture).join(", ")} without them`,
      remedy: "store the picture's file in the field bytes",
    });
  };
  const value = Object.fromEntries(
    Object.entries(row).map(([column, own]) => {
      if (!PICTURES.includes(column)) return [column, own ?? undefined];
      return [column, Array.isArray(own) ? own.map(nameOf) : nameOf(own)];
    }),
  );
  return { value, inside };
}

/** The messages with bytes in the place of names. */
function withBytes(messages: readonly TrainingMessage[], inside: ReadonlyMap<string, Uint8Array>): TrainingMessage[] {
  return messages.map((message) => {
    if (typeof message.content === "string") return message;
    const content = message.content.map((part) => {
      const bytes = part.type === "image" && typeof part.image === "string" ? inside.get(part.image) : undefined;
      return bytes === undefined ? part : { type: "image", image: bytes };
    });
    return { ...message, content } as TrainingMessage;
  });
}
