import { expect, test } from "vitest";
import { MediaError, type OcellusError, PromptError, SourceError } from "../../src/base/errors.js";
import { atRecord, badRecords, skipOrThrow } from "../../src/training/record-faults.js";

const fault = (line: number): SourceError =>
  new SourceError({ where: `a.jsonl, line ${line}`, expected: "JSON", got: "{", remedy: "close it" });
const faults = (count: number): SourceError[] => Array.from({ length: count }, (_, i) => fault(i + 1));

test("one fault is thrown as it is, several are listed, at most twenty", () => {
  const [one] = faults(1);
  expect(badRecords([one!], 5)).toBe(one);
  const { message } = badRecords(faults(2), 5);
  expect(message).toContain("got 2 bad ones of 5: a.jsonl, line 1: expected JSON, got {; a.jsonl, line 2: expected");
  const many = badRecords(faults(23), 30).message;
  expect(many).toContain("line 20: expected JSON, got {; and 3 more");
  expect(many).not.toContain("line 21");
});

test("faults go to `skipBad` if records are left", () => {
  const received: (readonly OcellusError[])[] = [];
  const skip = (given: readonly OcellusError[]) => void received.push(given);
  skipOrThrow([], 0, skip);
  skipOrThrow(faults(2), 1, skip);
  expect(received.map(({ length }) => length)).toEqual([2]);
  expect(() => skipOrThrow(faults(2), 0, skip)).toThrow("2 bad ones of 2");
  expect(() => skipOrThrow(faults(2), 1, undefined)).toThrow("2 bad ones of 3");
});

test.each([MediaError, PromptError, SourceError])("the place of the record comes before that in %o", (Class) => {
  const error = new Class({ where: "image 1", expected: "a picture", got: "text", remedy: "give another" });
  const placed = atRecord(error, "a.jsonl, line 3") as OcellusError;
  expect(placed).toBeInstanceOf(Class);
  expect(placed.message).toBe("a.jsonl, line 3: image 1: expected a picture, got text — give another");
  expect(atRecord(placed, "a.jsonl, line 3")).toBe(placed);
  expect(atRecord(error, undefined)).toBe(error);
});

test("other errors stay", () => {
  const error = new Error("a bug");
  expect(atRecord(error, "a.jsonl, line 3")).toBe(error);
});
