import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ROOT } from "../support/cli.js";
import { ocellusHere } from "../support/cli-in-process.js";
import { parquetFile } from "../support/parquet.js";

const GOLDENS = join(ROOT, "test/data/goldens");
const MODEL = join(GOLDENS, "hf-05b-like");
const folder = mkdtempSync(join(tmpdir(), "ocellus-train-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Golden {
  labels: number[];
  adamw: { losses: number[]; gradient_norms: number[] };
  lora: { losses: number[]; step_gradient_norms: number[] };
}
const golden = JSON.parse(readFileSync(join(GOLDENS, "training/hf-05b-like/text.json"), "utf8")) as Golden;
const { messages } = JSON.parse(readFileSync(join(MODEL, "cases/text.json"), "utf8")) as { messages: object[] };

/** Writes a file of records; returns its path. */
function data(name: string, records: readonly object[]): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(records));
  return path;
}

const tokens = golden.labels.filter((label) => label >= 0).slice(0, -1);
const DATA = data("data.json", [
  { messages: [...messages, { role: "assistant", content: [{ type: "tokens", tokens }] }] },
]);
const RECIPE = "--weight-decay 0.01 --clip 1.0 --schedule constant --dtype f32 --json".split(" ");

test.each([
  ["all", "2e-4", [], golden.adamw.losses, golden.adamw.gradient_norms],
  [
    "lora",
    "1e-3",
    ["--adapter", join(GOLDENS, "adapters/hf-05b-like")],
    golden.lora.losses,
    golden.lora.step_gradient_norms,
  ],
] as const)(
  "--train %s prints the losses of PyTorch, one line a step, and writes what loads",
  async (target, rate, more, losses, norms) => {
    const out = join(folder, target);
    // An empty folder may be there already.
    mkdirSync(out);
    const args = ["train", DATA, "--model", MODEL, "--train", target, "--steps", "5", "--lr", rate, ...RECIPE, ...more];
    const { code, stdout, stderr } = await ocellusHere([...args, "--out", out]);
    expect([code, stderr]).toEqual([0, ""]);
    const steps = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { step: number; loss: number; gradientNorm: number });
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
    for (const [i, loss] of losses.entries()) expect(Math.abs(steps[i]!.loss - loss)).toBeLessThan(2e-3);
    for (const [i, norm] of norms.entries()) expect(Math.abs(steps[i]!.gradientNorm / norm - 1)).toBeLessThan(1e-3);
    const asked = target === "all" ? ["--model", out] : ["--model", MODEL, "--adapter", out];
    const question = messages as { content: string | { text: string }[] }[];
    const last = question.at(-1)!.content;
    const text = typeof last === "string" ? last : last[0]!.text;
    const answer = await ocellusHere(["ask", ...asked, "--dtype", "f32", "--max-new-tokens", "4", text]);
    expect(answer.code).toBe(0);
    expect(existsSync(join(out, "training_report.html"))).toBe(true);
    expect(readdirSync(folder).filter((name) => name.includes("partial"))).toEqual([]);
  },
);

test("a run that was saved is resumed: the same losses, and one log", async () => {
  const args = ["train", DATA, "--model", MODEL, "--lr", "1e-3", "--schedule", "constant", "--rank", "4", "--json"];
  const [whole, parts] = [join(folder, "whole"), join(folder, "parts")];
  const once = await ocellusHere([...args, "--steps", "3", "--out", whole]);
  await ocellusHere([...args, "--steps", "3", "--save-every", "1", "--out", parts]);
  const again = await ocellusHere([...args, "--steps", "3", "--out", parts]);
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining("a folder that does not exist yet")]);
  const log = (path: string) =>
    readFileSync(join(path, "training_log.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { loss: number }).loss);
  expect(log(parts)).toEqual(log(whole));
  const done = await ocellusHere([...args, "--steps", "3", "--resume", "--out", parts]);
  expect([done.code, done.stdout]).toEqual([0, ""]);
  const other = await ocellusHere([...args, "--steps", "4", "--resume", "--out", parts]);
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining("same data and options, got steps 3, now 4")]);
  expect(once.code).toBe(0);
});

test("Parquet and mixtures are trained on, steps by length, with bad records left out", async () => {
  const rows = parquetFile([
    {
      id: "a",
      image: null,
      conversations: [
        { from: "human", value: "Which part?" },
        { from: "gpt", value: "A hinge." },
      ],
    },
    { id: "b", image: null, conversations: [{ from: "human", value: "Which part?" }] },
  ]);
  writeFileSync(join(folder, "parts.parquet"), new Uint8Array(await rows.arrayBuffer()));
  data("talk.json", [
    { question: "Who?", answer: "Me." },
    { question: "Why?", answer: "So." },
  ]);
  const mixture = "datasets: [{ json_path: parts.parquet }, { json_path: talk.json, sampling_strategy: 'end:50%' }]";
  writeFileSync(join(folder, "mix.yaml"), mixture);
  const args = ["train", join(folder, "mix.yaml"), "--model", MODEL, "--rank", "4", "--out", join(folder, "mixed")];
  const more = ["--skip-bad", "--group-by-length", "--batch", "2", "--steps", "2", "--json"];
  const { code, stdout, stderr } = await ocellusHere([...args, ...more]);
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(/parts\.parquet, row 2: expected.*\nSkipped 1 bad records of 3\.\n$/s),
  ]);
  const steps = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>);
  expect(steps.map(({ step, secondsLeft }) => [step, secondsLeft])).toEqual([
    [1, undefined],
    [2, 0],
  ]);
  for (const { loss, supervised } of steps) expect([Number.isFinite(loss), supervised! > 4]).toEqual([true, true]);
});

test.each([
  [[], "expected a file of records and --out, got no --out"],
  [[DATA], "expected a file of records and --out, got no --out"],
  [[DATA, "--out", "x", "--train", "heads"], "--train: expected lora, projector, language, vision, all, got heads"],
  [[DATA, "--out", "x", "--adapter", "a", "--adapter", "b"], "expected one adapter to go on from, got 2"],
])("%j is a wrong command line", async (args, message) => {
  expect(await ocellusHere(["train", ...args])).toEqual({
    code: 2,
    stdout: "",
    stderr: expect.stringContaining(message),
  });
});

test("a record without its picture, or without an answer, is reported before the model is loaded", async () => {
  const file = data("bad.json", [{ image: "missing.png", question: "What?", answer: "A lid." }]);
  const missing = await ocellusHere(["train", file, "--model", "nowhere", "--out", join(folder, "bad")]);
  expect([missing.code, missing.stderr]).toEqual([
    1,
    expect.stringMatching(/bad\.json, record 1: expected its pictures and clips, got no file .*missing\.png/),
  ]);
  const open = data("open.json", [{ messages: [{ role: "user", content: "What?" }] }]);
  const unanswered = await ocellusHere(["train", open, "--model", "nowhere", "--out", join(folder, "bad")]);
  expect(unanswered.stderr).toContain("open.json, record 1: expected an answer as the last message");
});
