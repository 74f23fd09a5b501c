/**
 * Records to learn from, in the forms of `scoring/records.ts`: each conversation ends with the answer, a text or token ids
 * (`{ "type": "tokens", "tokens": [...] }`).
 */
import { OcellusError, SourceError, shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { answersOf, type FoundRecord, type MediaPath, recordsIn, turnsOf } from "../scoring/records.js";
import { type SkipBad, skipOrThrow } from "./record-faults.js";
import { checkRecord, type TrainingMessage, type TrainingRecord } from "./samples.js";

/** Records to learn from, and what is wrong with the others: one error each. */
export interface FoundRecords {
  readonly records: readonly TrainingRecord[];
  readonly faults: readonly OcellusError[];
}

/** Adds the results of `read` to the records, and its errors about a record to the faults. Others are thrown. */
export class RecordCollector implements FoundRecords {
  readonly records: TrainingRecord[] = [];
  readonly faults: OcellusError[] = [];

  add(read: () => TrainingRecord): void {
    try {
      this.records.push(read());
    } catch (error) {
      if (!(error instanceof OcellusError)) throw error;
      this.faults.push(error);
    }
  }
}

/** Chooses records of a file: given their number, returns the indices of those that are read, in ascending order. */
export type RecordChoice = (count: number) => readonly number[];

/**
 * Reads a JSON array, or JSON lines. Bad records are left out if `skipBad` receives what is wrong with them; otherwise throws SourceError
 * and PromptError, which name the file and the line or record.
 */
export function readTrainingRecords(
  text: string,
  file: string,
  pathOf: MediaPath = (path) => path,
  skipBad?: SkipBad,
): TrainingRecord[] {
  const { records, faults } = findTrainingRecords(text, file, pathOf);
  skipOrThrow(faults, records.length, skipBad);
  return [...records];
}

/** Reads a JSON array, or JSON lines, and collects what is wrong with single records. Throws SourceError for an array that is no JSON. */
export function findTrainingRecords(
  text: string,
  file: string,
  pathOf: MediaPath = (path) => path,
  choose?: RecordChoice,
): FoundRecords {
  const found = recordsIn(text, file);
  const collected = new RecordCollector();
  for (const one of choose ? choose(found.length).map((i) => found[i]!) : found) {
    collected.add(() => trainingRecord(one, pathOf));
  }
  return collected;
}

/** The record to learn from of a value in any of the forms. Throws SourceError, PromptError. */
export function trainingRecord({ where, value, error }: FoundRecord, pathOf: MediaPath): TrainingRecord {
  if (error) throw error;
  if (!isObject(value)) {
    const remedy = 'write { "messages": [...] }, with the answer as the last message';
    throw new SourceError({ where, expected: "an object", got: shown(value), remedy });
  }
  const turns = turnsOf(value, where, pathOf);
  const own = value.answers ?? value.answer;
  const answer: TrainingMessage[] =
    own === undefined ? [] : [{ role: "assistant", content: answersOf(own, where)[0]! }];
  const messages = [...turns.map(({ role, parts }) => ({ role, content: parts }) as TrainingMessage), ...answer];
  const record = { messages, where };
  checkRecord(record);
  return record;
}

/** Sorts out the records that can be learnt from. */
export function checkedRecords(given: readonly TrainingRecord[]): FoundRecords {
  const collected = new RecordCollector();
  for (const record of given) {
    collected.add(() => {
      checkRecord(record);
      return record;
    });
  }
  return collected;
}
