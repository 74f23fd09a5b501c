import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { DeviceLostError } from "../../src/base/errors.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { JobQueue } from "../../src/queue/job-queue.js";
import { type Outcome, ocellus, ROOT } from "../support/cli.js";
import { ocellusHere } from "../support/cli-in-process.js";
import { freePort } from "../support/docs-folder.js";
import { missingForQueue, RedisServer } from "../support/redis.js";

// `ocellus worker` and `ocellus batch --queue` as processes with the embedded checkpoint. bench/queue-faults.mjs does the same for minutes.

const missing = missingForQueue();
if (missing) console.log(`Workers are not tested: ${missing}`);

test("a server that cannot be reached is an error of the batch", async () => {
  const url = `redis://127.0.0.1:${await freePort()}`;
  const { code, stderr } = await ocellus(["batch", "package.json", "-o", "/dev/null", "--queue", url]);
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining(`expected a Redis or Valkey server at ${url}, got connect`),
  ]);
});

/** A worker's process; `events` are the lines of its log. */
class WorkerProcess {
  readonly events: { event: string; id?: string; status?: number }[] = [];
  readonly ready: Promise<void>;
  readonly ended: Promise<number | string | null>;
  readonly #child: ChildProcess;

  constructor(url: string, ...options: string[]) {
    const args = ["worker", "--queue", url, "--model", "models/tiny", "--log", "json", "--lock", "3", ...options];
    this.#child = spawn(process.execPath, [join(ROOT, "dist/cli/main.js"), ...args], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
    });
    createInterface(this.#child.stderr!).on("line", (line) =>
      this.events.push(line.startsWith("{") ? JSON.parse(line) : { event: line }),
    );
    this.ready = new Promise((resolve) => this.#child.stdout!.once("data", () => resolve()));
    this.ended = new Promise((resolve) => this.#child.once("exit", (code, signal) => resolve(code ?? signal)));
  }

  get jobs(): number {
    return this.events.filter(({ event }) => event === "job").length;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

describe.skipIf(missing)("workers", () => {
  let server: RedisServer;
  let folder: string;
  const started: WorkerProcess[] = [];
  beforeAll(async () => {
    server = await RedisServer.start();
    folder = await mkdtemp(join(tmpdir(), "ocellus-worker-"));
  });
  afterAll(async () => {
    for (const worker of started) worker.kill("SIGKILL");
    await server?.dispose();
    await rm(folder, { recursive: true });
  });

  function start(...options: string[]): WorkerProcess {
    const worker = new WorkerProcess(server.url, ...options);
    started.push(worker);
    return worker;
  }

  const chat = (custom_id: string, content: unknown, more: object = {}) => ({
    custom_id,
    method: "POST" as const,
    url: "/v1/chat/completions" as const,
    body: { messages: [{ role: "user", content }], max_tokens: 8, ...more },
  });
  const batch = (input: string, output: string, ...more: string[]): Promise<Outcome> =>
    ocellus(["batch", input, "-o", output, "--queue", server.url, ...more]);

  async function results(file: string): Promise<string[]> {
    const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
    return lines
      .map((line) => JSON.parse(line))
      .map((r) => `${r.custom_id} ${r.response?.status_code ?? r.error.code}`)
      .sort();
  }

  test("forty jobs have one result each although a worker is killed, and another run has nothing left to do", async () => {
    const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
    const badPicture = [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }];
    const content = (i: number) => (i === 5 ? badPicture : `Is there a ${i}?`);
    const asked = Array.from({ length: 40 }, (_, i) => chat(`r${i}`, content(i), i === 6 ? { temperature: 9 } : {}));
    await writeFile(input, `${[...asked.map((one) => JSON.stringify(one)), "{ torn"].join("\n")}\n`);
    const expected = asked.map(({ custom_id }, i) => `${custom_id} ${i === 5 || i === 6 ? 400 : 200}`);
    const [victim, other] = [start(), start()];
    const first = batch(input, output);
    // In the middle of its work.
    await expect.poll(() => victim.jobs, { interval: 10 }).toBeGreaterThan(1);
    victim.kill("SIGKILL");
    const { code, stderr } = await first;
    expect([code, stderr]).toEqual([1, "38 answered, 3 failed, 0 done before\n"]);
    expect(await results(output)).toEqual([...expected, "null invalid_json_line"].sort());
    // What the killed worker had is the other's now.
    expect(other.events.map(({ event }) => event)).toContain("job_stalled");
    const computed = other.jobs;
    const second = await batch(input, output);
    expect(second.stderr).toContain("0 answered, 1 failed, 40 done before\n");
    expect(other.jobs).toBe(computed);
    other.kill("SIGTERM");
    expect(await other.ended).toBe(0);
  });

  test("a worker whose GPU is lost for good gives its job back and ends with status 1", async () => {
    const fault = { where: "the GPU", expected: "a device", got: "its loss", remedy: "restart" };
    const createSession = (): never => {
      throw new DeviceLostError(fault);
    };
    const load = vi.spyOn(LlavaOneVision, "load");
    load.mockResolvedValue({ createSession, dispose: () => {} } as unknown as LlavaOneVision);
    const queue = await JobQueue.connect(server.url, { name: "lost", backoffSeconds: 60 });
    try {
      await queue.enqueue([chat("a", "Hello!")]);
      const { code, stderr } = await ocellusHere(["worker", "--queue", server.url, "--queue-name", "lost"]);
      expect([code, stderr]).toEqual([1, expect.stringContaining("the GPU: expected a device, got its loss")]);
      expect(stderr).toContain('"event":"job_failed","id":"a","attempt":1,"attempts":5');
      expect(await queue.counts()).toMatchObject({ delayed: 1, active: 0, failed: 0 });
    } finally {
      load.mockRestore();
      await queue.close();
    }
  });

  test("SIGTERM lets running answers finish and takes no more; a batch that was killed resumes", async () => {
    const [input, output] = [join(folder, "drain.jsonl"), join(folder, "drained.jsonl")];
    const asked = Array.from({ length: 6 }, (_, i) =>
      chat(`d${i}`, `Go on, ${i}.`, { max_tokens: 60, min_tokens: 60 }),
    );
    await writeFile(input, `${asked.map((one) => JSON.stringify(one)).join("\n")}\n`);
    const worker = start("--queue-name", "drain", "--concurrency", "1");
    await worker.ready;
    const queue = await JobQueue.connect(server.url, { name: "drain" });
    const killed = spawn(
      process.execPath,
      ["dist/cli/main.js", "batch", input, "-o", output, "--queue", server.url, "--queue-name", "drain"],
      { cwd: ROOT, stdio: "ignore" },
    );
    try {
      const all = async () => Object.values(await queue.counts()).reduce((sum, count) => sum + count, 0);
      await expect.poll(all, { interval: 20 }).toBe(6);
      killed.kill("SIGKILL");
      worker.kill("SIGTERM");
      expect(await worker.ended).toBe(0);
      const { waiting, active, completed } = await queue.counts();
      expect(active).toBe(0);
      expect(waiting + completed).toBe(6);
      expect(completed).toBe(worker.jobs);
      expect(waiting).toBeGreaterThan(0);
      const next = start("--queue-name", "drain");
      const { code, stderr } = await batch(input, output, "--queue-name", "drain");
      expect([code, stderr]).toEqual([0, "6 answered, 0 failed, 0 done before\n"]);
      expect(await results(output)).toEqual(asked.map(({ custom_id }) => `${custom_id} 200`));
      expect(worker.jobs + next.jobs).toBe(6);
    } finally {
      killed.kill("SIGKILL");
      await queue.close();
    }
  });
});
