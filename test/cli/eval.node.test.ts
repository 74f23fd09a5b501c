import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";
import { ocellusHere } from "../support/cli-in-process.js";

// Scores of the embedded checkpoint on two of its drawings, one of them asked with a wrong answer.

const DRAWINGS = join(ROOT, "models/tiny/examples");
const RECORDS = [
  { id: "star", image: "01-shapes.png", question: "What color is the star?", answer: "The star is blue." },
  { id: "square", image: "00-shapes.png", question: "What do you see?", answer: "A red house." },
];

let folder: string;
let data: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-eval-"));
  data = join(folder, "data.jsonl");
  await writeFile(data, RECORDS.map((record) => JSON.stringify(record)).join("\n"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("says how many answers are right, and writes each prediction", async () => {
  const output = join(folder, "predictions.jsonl");
  const args = ["eval", data, "--metric", "exact", "--media", DRAWINGS, "-o", output];
  const { code, stdout } = await ocellusHere(args);
  expect(stdout).toBe("exact: 50.0 % of 2 records\n");
  expect(code).toBe(0);
  const lines = (await readFile(output, "utf8")).trim().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { id: "star", prediction: "The star is blue.", answers: ["The star is blue."], metric: "exact", score: 1 },
    {
      id: "square",
      prediction: "An orange square at the top left.",
      answers: ["A red house."],
      metric: "exact",
      score: 0,
    },
  ]);
});

test("resumes: what has a score is not asked again", async () => {
  const output = join(folder, "resumed.jsonl");
  const earlier = { id: "star", prediction: "by hand", answers: ["x"], metric: "exact", score: 0.5 };
  await writeFile(output, `${JSON.stringify(earlier)}\n{"id":"squ`);
  const { stdout } = await ocellusHere([
    "eval",
    data,
    "--metric",
    "exact",
    "--media",
    DRAWINGS,
    "-o",
    output,
    "--json",
  ]);
  expect(JSON.parse(stdout)).toEqual({ metric: "exact", score: 0.25, records: 2, failed: 0 });
  expect((await readFile(output, "utf8")).trim().split("\n").length).toBe(2);
});

test("a record that can't be asked counts as wrong, and the status is 1", async () => {
  const broken = join(folder, "broken.jsonl");
  await writeFile(
    broken,
    `${JSON.stringify({ ...RECORDS[0], image: "none.png" })}\n${JSON.stringify(RECORDS[0])}`.replace(
      '"star"',
      '"gone"',
    ),
  );
  const { code, stdout, stderr } = await ocellusHere(["eval", broken, "--metric", "anls", "--media", DRAWINGS]);
  expect(stdout).toBe("anls: 50.0 % of 2 records\n");
  expect(stderr).toContain("1 could not be asked and count as wrong");
  expect(code).toBe(1);
});

test.each([
  [["eval"], "expected a file of records and --metric, got no file"],
  [["eval", "DATA"], "got no --metric"],
  [["eval", "DATA", "--metric", "bleu"], "--metric: expected exact or relaxed or anls or vqa or choice, got bleu"],
])("%j is refused", async (args, message) => {
  const { code, stderr } = await ocellusHere(args.map((arg) => (arg === "DATA" ? data : arg)));
  expect(stderr).toContain(message);
  expect(code).toBe(2);
});
