import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, expect, test } from "vitest";
import { MAIN, ocellus, ROOT } from "../support/cli.js";

// A training process is killed at random moments, whatever it does then, and resumed.

/** How often the process is killed: OCELLUS_KILLS, or twice. */
const KILLS = Number(process.env.OCELLUS_KILLS ?? 2);
/** Steps of the run: more than are made before the last kill. */
const STEPS = 4 * KILLS + 1;
/** Longest time from a step's line to the signal, in steps: within it are the save of the step and the next one. The first step is longer. */
const MOST_STEPS = 1.5;
const MOST_SECONDS = 0.4;

const folder = mkdtempSync(join(tmpdir(), "ocellus-killed-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const data = join(folder, "data.json");
const records = ["a", "b", "c", "d", "e"].map((letter) => ({ question: `Say ${letter}.`, answer: `${letter}.` }));
writeFileSync(data, JSON.stringify(records));
const RUN = ["train", data, "--model", join(ROOT, "test/data/goldens/hf-05b-like"), "--rank", "4", "--lr", "1e-2"];
const MORE = ["--steps", `${STEPS}`, "--batch", "2", "--shuffle", "--seed", "3", "--save-every", "1", "--json"];

/** Runs until a number of steps were printed and a part of the next is over, then kills. Returns false if the run ended before. */
async function killed(args: readonly string[], steps: number, part: number): Promise<boolean> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  let lines = 0;
  createInterface(child.stdout).on("line", (line) => {
    if (++lines !== steps) return;
    const { seconds } = JSON.parse(line) as { seconds: number };
    setTimeout(() => child.kill("SIGKILL"), 1000 * part * MOST_STEPS * Math.min(seconds, MOST_SECONDS));
  });
  const signal = await new Promise((resolve) => child.on("close", (_, name) => resolve(name)));
  return signal === "SIGKILL";
}

const losses = (path: string): number[] =>
  readFileSync(join(path, "training_log.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { loss: number }).loss);

test(`a run that is killed ${KILLS} times has the losses of one that was not, bit by bit`, async () => {
  const [whole, parts] = [join(folder, "whole"), join(folder, "parts")];
  const { code, stderr } = await ocellus([...RUN, ...MORE, "--out", whole]);
  expect([code, stderr]).toEqual([0, ""]);
  const resume = (): string[] => [
    ...[...RUN, ...MORE, "--out", parts],
    // Before the first save there is nothing to resume.
    ...(existsSync(parts) || existsSync(`${parts}.replaced`) ? ["--resume"] : []),
  ];
  const moments: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const [steps, part] = [1 + Math.floor(2 * Math.random()), Math.random()];
    moments.push(`${steps} and ${part.toFixed(2)} steps`);
    expect(await killed(resume(), steps, part), moments.join("; ")).toBe(true);
  }
  const last = await ocellus(resume());
  expect([last.code, last.stderr], moments.join("; ")).toEqual([0, ""]);
  expect(losses(parts), moments.join("; ")).toEqual(losses(whole));
  expect(losses(whole).length).toBe(STEPS);
});
