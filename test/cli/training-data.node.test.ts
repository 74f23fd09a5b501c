import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, type MockInstance, test, vi } from "vitest";
import { readTrainingData } from "../../src/cli/training-data.js";
import { bmp, parquetFile } from "../support/parquet.js";

const folder = mkdtempSync(join(tmpdir(), "ocellus-data-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let written: MockInstance<typeof process.stderr.write>;
beforeEach(() => {
  written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => written.mockRestore());
const notes = (): string[] => written.mock.calls.map(([text]) => String(text).trimEnd().replaceAll(`${folder}/`, ""));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  return path;
}

const record = (image: string, answer = "A hinge."): object => ({ image, question: "Which part?", answer });
const lines = (...all: readonly (object | string)[]): string =>
  all.map((one) => (typeof one === "string" ? one : JSON.stringify(one))).join("\n");
const OPTIONS = { media: undefined, skipBad: false, seed: 1 };
const answers = (records: Awaited<ReturnType<typeof readTrainingData>>): unknown[] =>
  records.map(({ messages }) => messages.at(-1)!.content);

file("a.bmp", bmp(2, 2));
file("torn.png", bmp(2, 2).subarray(10));

test("JSON lines, folders and Parquet are read together", async () => {
  const jsonl = file("data.jsonl", lines(record("a.bmp", "one"), record("a.bmp", "two")));
  file("pictures/p.bmp", bmp(1, 1));
  file("pictures/metadata.jsonl", lines({ file_name: "p.bmp", question: "Which?", answer: "three" }));
  const conversations = [
    { from: "human", value: "<image>\nWhich?" },
    { from: "gpt", value: "four" },
  ];
  const rows = parquetFile([
    { id: "x", image: { bytes: bmp(3, 3), path: null }, conversations },
    { id: "y", image: { bytes: null, path: "missing.bmp" }, conversations },
  ]);
  const parquet = file("data.parquet", new Uint8Array(await rows.arrayBuffer()));
  const records = await readTrainingData([jsonl, join(folder, "pictures"), parquet], { ...OPTIONS, skipBad: true });
  expect(notes()[0]).toBe("data.parquet, row 2: expected its pictures and clips, got no file missing.bmp");
  expect(answers(records)).toEqual(["one", "two", "three", [{ type: "text", text: "four" }]]);
  expect(records[2]!.messages[0]!.content).toContainEqual({ type: "image", image: join(folder, "pictures/p.bmp") });
});

test("a mixture names files relative to its own folder, and pictures are beside each file", async () => {
  file("mixed/own/b.bmp", bmp(2, 1));
  file("mixed/own/parts.json", JSON.stringify(["a", "b", "c", "d"].map((answer) => record("b.bmp", answer))));
  file("mixed/talk.jsonl", lines({ question: "Hello", answer: "Hi" }, "{ broken"));
  const mixture = `datasets:
  - { json_path: own/parts.json, sampling_strategy: "end:50%" }
  - { json_path: talk.jsonl, sampling_strategy: "first:1" }`;
  const records = await readTrainingData([file("mixed/mix.yaml", mixture)], OPTIONS);
  // The broken line is not among the chosen ones.
  expect(answers(records)).toEqual(["c", "d", "Hi"]);
});

test("all bad records are listed with file and line, and end the command", async () => {
  const bad = [record("missing.bmp"), record("torn.png"), { question: "Which part?" }, "{ broken", record("a.bmp")];
  await expect(readTrainingData([file("bad.jsonl", lines(...bad))], OPTIONS)).rejects.toThrow(
    "DATA: expected records with a question and an answer, got 4 bad ones of 5, listed above — correct these records, or add --skip-bad",
  );
  expect(notes().sort()).toEqual([
    "bad.jsonl, line 1: expected its pictures and clips, got no file missing.bmp",
    expect.stringMatching(/^bad\.jsonl, line 2: torn\.png: expected .*got/),
    "bad.jsonl, line 3: expected an answer as the last message, got one of user",
    expect.stringMatching(/^bad\.jsonl, line 4: expected JSON, got/),
  ]);
});

test("--skip-bad leaves them out, and says how many and why", async () => {
  const path = file("some.jsonl", lines(record("missing.bmp"), record("a.bmp", "good")));
  expect(answers(await readTrainingData([path], { ...OPTIONS, skipBad: true }))).toEqual(["good"]);
  expect(notes()).toEqual([
    "some.jsonl, line 1: expected its pictures and clips, got no file missing.bmp",
    "Skipped 1 bad records of 2.",
  ]);
  const none = file("none.jsonl", lines(record("missing.bmp")));
  await expect(readTrainingData([none], { ...OPTIONS, skipBad: true })).rejects.toThrow("got 1 bad ones of 1");
});

test("at most twenty are listed", async () => {
  const bad = Array.from({ length: 23 }, () => ({ question: "Which part?" }));
  await expect(readTrainingData([file("many.jsonl", lines(...bad))], OPTIONS)).rejects.toThrow("23 bad ones of 23");
  expect(notes().length).toBe(21);
  expect(notes().at(-1)).toBe("and 3 more");
});
