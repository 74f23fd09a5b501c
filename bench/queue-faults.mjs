// A batch over a queue while its workers are killed and Redis is restarted:
//
//   node bench/queue-faults.mjs                # 500 jobs, 3 workers, one killed every 4 s for a minute, Redis restarted after half of it
//   node bench/queue-faults.mjs 100 2 20 3     # jobs, workers, seconds of disturbance, seconds between two kills
//
// `ocellus batch` itself is killed once, after three quarters, and run again. Every result is compared with the one of a batch without a
// queue. Prints a line of JSON; the status is 1 if a result is lost, there twice, or wrong. Needs redis-server, and `npm run build` before.
// Signals: not on Windows.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [jobs = 500, workers = 3, seconds = 60, interval = 4] = process.argv.slice(2).map(Number);
/** Seconds for which a job waits for a worker that was killed: more than a worker's event loop is busy while SwiftShader compiles. */
const LOCK_S = 8;
const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const folder = mkdtempSync(join(tmpdir(), "ocellus-queue-faults-"));
const env = { OCELLUS_ADAPTER: "swiftshader", ...process.env };

const ended = (child) => new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));

function ocellus(...args) {
  return spawn(process.execPath, [path("dist/cli/main.js"), ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// ---- requests, every tenth of which is wrong in itself ----

const picture = `data:image/png;base64,${readFileSync(path("models/tiny/examples/00-shapes.png"), "base64")}`;
const shapes = ["square", "circle", "star", "triangle", "bar", "line", "number", "chart"];

function request(i) {
  const text = `Is there a ${shapes[i % shapes.length]} in picture ${i}?`;
  const content =
    i % 10 === 3
      ? [
          { type: "image_url", image_url: { url: picture } },
          { type: "text", text },
        ]
      : i % 10 === 7
        ? [
            { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
            { type: "text", text },
          ]
        : text;
  const body = { messages: [{ role: "user", content }], max_tokens: 24, min_tokens: 8 };
  return { custom_id: `job-${i}`, method: "POST", url: "/v1/chat/completions", body };
}

const input = join(folder, "in.jsonl");
writeFileSync(input, Array.from({ length: jobs }, (_, i) => `${JSON.stringify(request(i))}\n`).join(""));

/** The results of a file by custom_id: status, and the text of answers. */
function resultsOf(file) {
  const found = new Map();
  let twice = 0;
  for (const line of readFileSync(file, "utf8").trimEnd().split("\n")) {
    const { custom_id, response, error } = JSON.parse(line);
    if (found.has(custom_id)) twice++;
    found.set(
      custom_id,
      `${response?.status_code ?? error?.code} ${response?.body.choices?.[0]?.message.content ?? ""}`,
    );
  }
  return { found, twice };
}

// ---- processes ----

let redis;
const port = await freePort();
const url = `redis://127.0.0.1:${port}`;

async function startRedis() {
  redis = spawn("redis-server", ["--port", `${port}`, "--dir", folder, "--appendonly", "yes", "--save", ""], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve, reject) => {
    redis.once("error", reject);
    createInterface(redis.stdout).on("line", (line) => /Ready to accept/.test(line) && resolve());
  });
}

const counts = { kills: 0, computed: 0, stalled: 0, failedAttempts: 0, notes: {} };
const running = new Set();

function startWorker() {
  const worker = ocellus(
    "worker",
    "--queue",
    url,
    "--model",
    path("models/tiny"),
    "--lock",
    `${LOCK_S}`,
    "--log",
    "json",
  );
  running.add(worker);
  worker.once("exit", () => running.delete(worker));
  createInterface(worker.stderr).on("line", (line) => {
    const { event, text } = line.startsWith("{") ? JSON.parse(line) : { event: "queue", text: line };
    if (event === "job") counts.computed++;
    else if (event === "job_stalled") counts.stalled++;
    else if (event === "job_failed") counts.failedAttempts++;
    else if (event === "queue") counts.notes[text] = (counts.notes[text] ?? 0) + 1;
  });
}

// ---- the run ----

const wanted = join(folder, "wanted.jsonl");
await ended(ocellus("batch", input, "-o", wanted, "--model", path("models/tiny")));
const expected = resultsOf(wanted).found;

await startRedis();
const output = join(folder, "out.jsonl");
const startBatch = () => ocellus("batch", input, "-o", output, "--queue", url);
const begun = performance.now();
const elapsed = () => (performance.now() - begun) / 1000;
for (let i = 0; i < workers; i++) startWorker();
let batch = startBatch();
let said = "";
let isOver = false;
const watch = () => {
  batch.stderr.setEncoding("utf8").on("data", (text) => {
    said = text;
  });
  const own = batch;
  own.once("exit", (code) => {
    if (own === batch && code !== null) isOver = true;
  });
};
watch();
let redisRestarts = 0;
let batchRestarts = 0;
while (elapsed() < seconds) {
  await sleep(1000 * interval);
  const [victim] = [...running].sort(() => Math.random() - 0.5);
  victim?.kill("SIGKILL");
  counts.kills++;
  startWorker();
  if (redisRestarts === 0 && elapsed() > seconds / 2) {
    redis.kill("SIGTERM");
    await ended(redis);
    await sleep(500);
    await startRedis();
    redisRestarts++;
  }
  if (batchRestarts === 0 && !isOver && elapsed() > (3 * seconds) / 4) {
    const old = batch;
    old.kill("SIGKILL");
    await ended(old);
    batch = startBatch();
    watch();
    batchRestarts++;
  }
}
const disturbedDone = readFileSync(output, "utf8").split("\n").length - 1;
while (!isOver) await sleep(50);
const secondsInAll = Math.round(elapsed() * 10) / 10;
const remaining = [...running];
for (const worker of remaining) worker.kill("SIGTERM");
const statuses = await Promise.all(remaining.map(ended));
redis.kill("SIGTERM");
await ended(redis);

const { found, twice } = resultsOf(output);
const lost = [...expected.keys()].filter((id) => !found.has(id)).length;
const wrong = [...found].filter(([id, result]) => expected.get(id) !== result);
rmSync(folder, { recursive: true });
console.log(
  JSON.stringify({
    date: new Date().toISOString().slice(0, 10),
    jobs,
    workers,
    results: found.size,
    lost,
    twice,
    wrong: wrong.length,
    ...counts,
    redisRestarts,
    batchRestarts,
    resultsWhileDisturbed: disturbedDone,
    seconds: secondsInAll,
    workersEnded: statuses,
    said: said.trim(),
    examples: wrong.slice(0, 3),
  }),
);
process.exitCode = lost + twice + wrong.length > 0 ? 1 : 0;
