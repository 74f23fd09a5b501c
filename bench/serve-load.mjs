// What the benchmarks of `ocellus serve` share: a server on the tiny checkpoint, requests with one right answer, hostile requests, and the
// comparison of answers.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { crc32, deflateSync } from "node:zlib";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const random = (below) => Math.floor(Math.random() * below);

// ---- the server ----

/** Starts a server; `events` are the lines of its log. */
export async function start(...options) {
  const args = [path("dist/cli/main.js"), "serve", "--port", "0", "--log", "json", "--restarts", "100000", ...options];
  const env = {
    OCELLUS_ADAPTER: "swiftshader",
    ...process.env,
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import=${new URL("lose-device.mjs", import.meta.url)}`,
  };
  const child = spawn(process.execPath, [...args, "--model", path("models/tiny")], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const server = { child, url: "", readies: [], losses: [], destroyed: [], errors: [], other: [] };
  createInterface(child.stderr).on("line", (line) => {
    const entry = line.startsWith("{") ? JSON.parse(line) : { event: "other", line };
    if (entry.event === "model_ready") server.readies.push({ ...entry, at: performance.now() });
    else if (entry.event === "model_lost") server.losses.push({ ...entry, at: performance.now() });
    else if (entry.event === "destroyed") server.destroyed.push(performance.now());
    else if (entry.event !== "request") server.errors.push(entry);
  });
  const [line] = await new Promise((resolve) => createInterface(child.stdout).once("line", (line) => resolve([line])));
  server.url = / at (http:\S+)\/v1$/.exec(line)[1];
  return server;
}

export async function stop({ child }) {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  return ended;
}

/** Peak memory of a process in MB, where /proc has it. */
export function peakMB(pid) {
  try {
    return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024);
  } catch {
    return undefined;
  }
}

/** Asks for /health all the time, in a thread of its own: its times in ms, its statuses, and how late timers fire there meanwhile. */
export function watch({ url }) {
  const thread = new Worker(new URL("./watch-health.mjs", import.meta.url), { workerData: url });
  return () => {
    const seen = new Promise((resolve) => thread.once("message", resolve));
    thread.postMessage("over");
    return seen;
  };
}

// ---- requests ----

export const CHAT = "/v1/chat/completions";
const picture = `data:image/png;base64,${readFileSync(path("models/tiny/examples/00-shapes.png"), "base64")}`;
export const say = (content, more = {}) => ({ messages: [{ role: "user", content }], max_tokens: 24, ...more });
const withPicture = (url, text) => [
  { type: "image_url", image_url: { url } },
  { type: "text", text },
];
const SCHEMA = {
  type: "object",
  properties: { colour: { enum: ["red", "blue"] }, count: { type: "integer", minimum: 1, maximum: 3 } },
  required: ["colour", "count"],
  additionalProperties: false,
};
const schema = (schema) => ({ response_format: { type: "json_schema", json_schema: { name: "x", schema } } });
const words = ["orange", "square", "circle", "blue", "left", "top", "number", "chart", "row", "red"];

/** Requests with one right answer. */
export const GOOD = [
  ...words.map((word) => ({ path: CHAT, body: say(`Is there a ${word}?`) })),
  ...words.slice(0, 4).map((word) => ({ path: CHAT, body: say(`And a ${word}?`, { stream: true }) })),
  { path: CHAT, body: say(withPicture(picture, "What is at the top left?")) },
  { path: CHAT, body: say(withPicture(picture, "Is there a square?"), { stream: true }) },
  { path: CHAT, body: say("A shape and its colour.", schema(SCHEMA)) },
  { path: "/v1/responses", body: { input: "Hello!", max_output_tokens: 24 } },
  { path: "/v1/responses", body: { input: "Hello again!", max_output_tokens: 24, stream: true } },
  { path: "/v1/embeddings", body: { input: ["an orange square", "a chart"] } },
];

/** A PNG of zeros, of a few hundred bytes per thousand rows. */
function emptyPng(size) {
  const chunk = (type, data) => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(data.length);
    head.write(type, 4, "latin1");
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(Buffer.concat([head.subarray(4), data])) >>> 0);
    return Buffer.concat([head, data, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size);
  header.writeUInt32BE(size, 4);
  header[8] = 8;
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]);
  const rows = deflateSync(Buffer.alloc((size + 1) * size), { level: 9 });
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))]);
}

const bomb = `data:image/png;base64,${emptyPng(8192).toString("base64")}`;
const nested = { type: "array", minItems: 1000, items: { type: "array", minItems: 1000, items: { type: "integer" } } };
const raw = (text, headers = {}) => ({ path: CHAT, raw: text, headers });
/** Requests that cost, break off, or are none. */
export const HOSTILE = [
  () => raw("{"),
  () => raw(`{"${"a".repeat(1e6)}":1}`),
  () => raw(`{"messages":${"[".repeat(1e5)}`),
  () => raw(`{"messages":[${"[],".repeat(2e6)}0]}`),
  () => raw("x", { "content-type": "text/plain" }),
  () => raw("{}", { host: "attacker.example" }),
  () => raw("{}", { "content-length": "99999999999" }),
  () => ({ path: "/v1/nothing", body: {} }),
  () => ({ path: CHAT, body: say("x", { model: "another" }) }),
  () => ({ path: CHAT, body: say("x", schema(nested)) }),
  () => ({ path: CHAT, body: say("x", { guided_regex: "(a{1,1000}){1,1000}" }) }),
  () => ({ path: CHAT, body: say("word ".repeat(40_000)) }),
  () => ({ path: CHAT, body: say(withPicture(bomb, "x")) }),
  () => ({ path: CHAT, body: say(withPicture(picture.slice(0, 300), "x")) }),
  () => ({ path: CHAT, body: say(withPicture("http://127.0.0.1:1/x.png", "x")) }),
  () => ({
    path: CHAT,
    body: say([{ type: "video_url", video_url: { url: "data:video/mp4;base64,AAAAGGZ0eXBtcDQy" } }]),
  }),
  // Leaves before the end.
  () => ({ path: CHAT, body: say("Go on.", { temperature: 2, max_tokens: 200, stream: true }), leaveMs: random(400) }),
  () => ({ path: CHAT, body: say("Go on.", { temperature: 2, max_tokens: 200 }), leaveMs: random(400) }),
  // Sends half a body.
  () => ({ ...raw('{"messages":', { "content-length": "5000" }), leaveMs: 1000 }),
];

/** Sends a request; resolves with status and text, or the code of a broken connection. */
export function send(server, { path, body, raw, headers = {}, leaveMs }) {
  return new Promise((resolve) => {
    const text = raw ?? JSON.stringify(body);
    const asking = request(`${server.url}${path}`, {
      method: "POST",
      agent: false,
      headers: { "content-type": "application/json", ...headers },
    });
    const timer = leaveMs === undefined ? undefined : setTimeout(() => asking.destroy(), leaveMs);
    const over = (result) => {
      clearTimeout(timer);
      resolve(result);
    };
    asking.on("error", (error) => over({ status: leaveMs === undefined ? error.code : "left", text: "" }));
    asking.on("response", (reply) => {
      let text = "";
      reply.setEncoding("utf8").on("data", (piece) => {
        text += piece;
      });
      reply.on("error", (error) => over({ status: leaveMs === undefined ? error.code : "left", text }));
      reply.on("end", () => over({ status: reply.statusCode, text, headers: reply.headers }));
    });
    asking.write(text);
    if (headers["content-length"] === undefined) asking.end();
  });
}

/** What an answer says, without ids and times; undefined for a stream that an error ended. */
function saidBy({ path, body }, text) {
  if (body.stream) {
    const events = text.split("\n\n").flatMap((event) => /^data: (\{.*)$/m.exec(event)?.[1] ?? []);
    const objects = events.map((event) => JSON.parse(event));
    if (objects.some(({ error }) => error)) return undefined;
    const deltas = objects.map(({ choices, delta }) => (choices ? (choices[0]?.delta.content ?? "") : (delta ?? "")));
    return deltas.join("");
  }
  const whole = JSON.parse(text);
  if (path === "/v1/embeddings") return JSON.stringify(whole.data);
  return whole.choices ? whole.choices[0].message.content : whole.output[0].content[0].text;
}

/** Sends a good request until it is answered, as clients do that heed Retry-After. */
export async function answered(server, asked, counts, isOver) {
  for (;;) {
    const { status, text, headers } = await send(server, asked);
    const code = status === 500 ? JSON.parse(text).error.code : undefined;
    if (status === 503 || status === 429) {
      counts.refused++;
      if (isOver()) return undefined;
      await sleep(Math.min(1000, Number(headers["retry-after"] ?? 1) * 1000));
    } else if (code === "model_lost") counts.endedTwice++;
    else if (status === 200) {
      const said = saidBy(asked, text);
      if (said !== undefined) return said;
      counts.interrupted++;
    } else throw new Error(`a good request: ${status} ${text.slice(0, 300)}`);
  }
}

/** Asks good questions until it is over, and compares. */
export async function good(server, expected, counts, isOver) {
  while (!isOver()) {
    const number = random(GOOD.length);
    const said = await answered(server, GOOD[number], counts, isOver);
    if (said === undefined) return;
    counts.answered++;
    if (said !== expected[number]) counts.wrong.push({ number, said, expected: expected[number] });
  }
}

export async function undisturbed(server) {
  const counts = { refused: 0, interrupted: 0, endedTwice: 0 };
  const said = [];
  for (const asked of GOOD) said.push(await answered(server, asked, counts, () => false));
  return said;
}
