import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { MAIN, ROOT } from "../support/cli.js";
import { type HubFileContent, HubServer } from "../support/hub-server.js";
import { packedFiles } from "../support/packed.js";
import { random } from "../support/random.js";

// A process that downloads a packed checkpoint, loads it with layers that stream and answers is killed at random moments.

/** How often: OCELLUS_KILLS, or a few times. */
const KILLS = Number(process.env.OCELLUS_KILLS ?? 3);
const MS_A_KILL = 60_000;
/** Moments come earlier after a run that had ended before. */
const SOONER = 0.85;
const NAME = "ocellus-test/packed";
const COMMIT = "0123456789abcdef0123456789abcdef01234567";

let files: Map<string, HubFileContent>;
let server: HubServer;
let cache: string;

beforeAll(async () => {
  files = new Map();
  for (const file of await packedFiles(await checkpointFiles(TINY), { dtype: "q4" })) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    files.set(file.name, { bytes, large: file.name.endsWith(".safetensors") });
  }
  server = await new HubServer(NAME, COMMIT, files).start();
  cache = await mkdtemp(join(tmpdir(), "ocellus-load-killed-"));
});
afterAll(async () => {
  await server.stop();
  await rm(cache, { recursive: true });
});

/** Starts a question to a model of the hub; resolves when the process first asks the hub, or has ended. */
async function ask() {
  const args = ["ask", "--model", NAME, "--weights", "stream", "--max-new-tokens", "4", "Name a colour."];
  const asked = server.requests.length;
  // A group of its own, which a command that filters the lines of drivers has a child in.
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: ROOT,
    detached: true,
    env: { ...process.env, HF_HUB_CACHE: cache, HF_ENDPOINT: server.endpoint },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
  });
  let isOver = false;
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  void ended.then(() => {
    isOver = true;
  });
  while (server.requests.length === asked && !isOver) await setTimeout(5);
  return { child, ended, answer: () => text };
}

/** The files of the snapshot, which loading takes for whole: each has to be that of the hub. */
async function damagedFiles(): Promise<string[]> {
  const snapshot = join(cache, `models--${NAME.replace("/", "--")}`, "snapshots", COMMIT);
  const names = await readdir(snapshot).catch((): string[] => []);
  const damaged: string[] = [];
  for (const name of names) {
    if (!(await readFile(join(snapshot, name))).equals(files.get(name)!.bytes)) damaged.push(name);
  }
  return damaged;
}

test(
  `after ${KILLS} kills at random moments nothing is taken for whole that is not, and the answer is the same`,
  async () => {
    const next = random(Number(process.env.OCELLUS_SEED ?? 1));
    const first = await ask();
    const startMs = performance.now();
    expect(await first.ended).toBe(0);
    let mostMs = performance.now() - startMs;
    const truth = first.answer();
    expect(truth).not.toBe("");
    const counts = { partial: 0, loading: 0, ended: 0 };
    while (counts.partial + counts.loading < KILLS) {
      // Whole files are not downloaded again.
      if ((await readdir(cache)).length > 0 && next() < 0.5) {
        for (const name of await readdir(cache)) await rm(join(cache, name), { recursive: true });
      }
      const { child, ended, answer } = await ask();
      // Half of the moments are in the first quarter, in which the files come.
      await setTimeout(mostMs * next() ** 2);
      const isKilled = child.exitCode === null && process.kill(-child.pid!, "SIGKILL");
      await ended;
      expect(await damagedFiles()).toEqual([]);
      expect(truth.startsWith(answer())).toBe(true);
      const isWhole = (
        await readdir(join(cache, `models--${NAME.replace("/", "--")}`, "blobs")).catch(() => [""])
      ).every((name) => name !== "" && !name.endsWith(".incomplete"));
      counts[!isKilled ? "ended" : isWhole ? "loading" : "partial"]++;
      if (!isKilled) mostMs *= SOONER;
    }
    if (process.env.OCELLUS_KILLS) console.log(counts, `${mostMs} ms`);
    const last = await ask();
    expect(await last.ended).toBe(0);
    expect(last.answer()).toBe(truth);
    expect(await damagedFiles()).toEqual([]);
  },
  (KILLS + 2) * MS_A_KILL,
);
