import { MediaError, type OcellusError, PromptError, SourceError } from "../base/errors.js";

/** Receives what is wrong with the records that are left out. */
export type SkipBad = (faults: readonly OcellusError[]) => void;

/** Faults that a message lists. */
export const MOST_LISTED = 20;

/** One error for bad records among `count`: the fault itself if it is the only one, else a list of the first ones. */
export function badRecords(faults: readonly OcellusError[], count: number): OcellusError {
  if (faults.length === 1) return faults[0]!;
  const more = faults.length > MOST_LISTED ? `; and ${faults.length - MOST_LISTED} more` : "";
  return new SourceError({
    where: "training data",
    expected: "records with a question and an answer",
    got: `${faults.length} bad ones of ${count}: ${faults.slice(0, MOST_LISTED).map(brief).join("; ")}${more}`,
    remedy: "correct these records, or leave them out with `skipBad`",
    cause: faults[0],
  });
}

/** Passes faults to `skipBad`. Throws without it, or if no record is left. */
export function skipOrThrow(faults: readonly OcellusError[], good: number, skipBad: SkipBad | undefined): void {
  if (faults.length === 0) return;
  if (!skipBad || good === 0) throw badRecords(faults, good + faults.length);
  skipBad(faults);
}

/** A fault without its remedy. */
export function brief({ fault: { where, expected, got } }: OcellusError): string {
  return `${where}: expected ${expected}, got ${got}`;
}

/** The error of a record's picture, clip or text, with the place of the record in front. */
export function atRecord(error: unknown, where: string | undefined): unknown {
  const Class = [MediaError, PromptError, SourceError].find((one) => error instanceof one);
  if (where === undefined || Class === undefined) return error;
  const { fault } = error as OcellusError;
  return fault.where.startsWith(where)
    ? error
    : new Class({ ...fault, where: `${where}: ${fault.where}`, cause: error });
}
