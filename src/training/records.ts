/**
 * Records to learn from, in the forms of `scoring/records.ts`: each conversation ends with the answer, a text or token ids
 * (`{ "type": "tokens", "tokens": [...] }`).
 */
import { SourceError, shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { answersOf, type MediaPath, recordsIn, turnsOf } from "../scoring/records.js";
import { checkRecord, type TrainingMessage, type TrainingRecord } from "./samples.js";

/** Reads a JSON array, or JSON lines. Throws SourceError and PromptError, which name the file and the line or record. */
export function readTrainingRecords(text: string, file: string, pathOf: MediaPath = (path) => path): TrainingRecord[] {
  return recordsIn(text, file).map(({ where, value }) => {
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
  });
}
