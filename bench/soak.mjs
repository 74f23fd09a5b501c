// `ocellus serve` for a long time, on the tiny checkpoint, and what it holds meanwhile:
//
//   node bench/soak.mjs 30                # minutes of good and hostile requests, aborts, disconnects, kills and losses of the device
//   node bench/soak.mjs --tokens 200000   # answers until so many tokens are generated, without disturbances
//   … --svg FILE                          # draws the curves
//
// Prints the resident memory (RSS) and open files of both processes and the bytes on the device, at the start and at the end: medians of the
// second tenth and of the last tenth of the samples. The status is 1 if an answer was wrong or one of them grew by more than a tenth
// and 8 MB (8 files). Run `npm run build` before. Linux.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { CHAT, good, HOSTILE, random, say, send, sleep, start, stop, undisturbed, watch } from "./serve-load.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { tokens: { type: "string" }, svg: { type: "string" } },
});
const minutes = Number(positionals[0] ?? Number.POSITIVE_INFINITY);
const tokens = Number(values.tokens ?? Number.POSITIVE_INFINITY);
if (minutes === tokens) throw new Error("node bench/soak.mjs MINUTES, or --tokens N");

/** Clients of each kind at once. */
const CLIENTS = 3;
/** Time between two losses of the device or the model's process. */
const DISTURB_MS = 100_000;
const SAMPLE_MS = 3_000;
/** Tokens of an answer of the run that counts them. */
const ANSWER = 400;
/** The tiny checkpoint's EOS token. */
const EOS = 597;

const QUANTITIES = [
  { key: "serverMB", title: "RSS of the server, MB" },
  { key: "modelMB", title: "RSS of the model's process, MB" },
  { key: "deviceMB", title: "on the device, MB" },
  { key: "serverFiles", title: "open files of the server" },
  { key: "modelFiles", title: "open files of the model's process" },
];

const server = await start("--queue", "200", "--timeout", "280");
const expected = await undisturbed(server);
const counts = { answered: 0, refused: 0, interrupted: 0, endedTwice: 0, wrong: [] };
const begun = performance.now();
const samples = [];
let disturbances = 0;
let generated = 0;
let isOver = false;
server.child.once("exit", (status) => {
  if (isOver) return;
  console.error(`the server ended: ${status}`, server.errors.slice(-3));
  process.exit(1);
});

/** Reads what the server holds now. */
async function sample() {
  const { pid } = server.readies.at(-1);
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const gauge = (name) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? 0);
  const held = (process) => {
    const [, kB] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${process}/status`, "utf8"));
    return { MB: Number(kB) / 1024, files: readdirSync(`/proc/${process}/fd`).length };
  };
  generated = gauge("ocellus_completion_tokens_total");
  const [front, model] = [held(server.child.pid), held(pid)];
  samples.push({
    seconds: (performance.now() - begun) / 1000,
    tokens: generated,
    serverMB: front.MB,
    modelMB: model.MB,
    deviceMB: gauge("ocellus_gpu_bytes") / 2 ** 20,
    serverFiles: front.files,
    modelFiles: model.files,
  });
}

async function sampling() {
  while (!isOver) {
    // A process that was just killed has no memory to read.
    await sample().catch(() => {});
    const last = samples.at(-1);
    if (samples.length % 20 === 0 && last) console.error(JSON.stringify(last, (_, v) => (v > 9 ? Math.round(v) : v)));
    isOver = generated >= tokens || performance.now() - begun > minutes * 60_000;
    if (!isOver) await sleep(SAMPLE_MS);
  }
}

async function disturbing() {
  for (let next = begun + DISTURB_MS; !isOver; await sleep(100)) {
    if (performance.now() < next) continue;
    next += DISTURB_MS;
    process.kill(server.readies.at(-1).pid, disturbances++ % 2 === 0 ? "SIGUSR2" : "SIGKILL");
  }
}

async function hostile() {
  while (!isOver) await send(server, HOSTILE[random(HOSTILE.length)]());
}

/** Asks for long answers about what no other prompt asks. */
async function writing() {
  const more = { max_tokens: ANSWER, temperature: 1, logit_bias: { [EOS]: -100 } };
  while (!isOver) {
    const { status, text } = await send(server, { path: CHAT, body: say(`Number ${random(1e9)}?`, more) });
    if (status !== 200) throw new Error(`${status} ${text.slice(0, 300)}`);
    counts.answered++;
  }
}

const watched = watch(server);
const clients = Array.from({ length: CLIENTS }, () =>
  tokens < Number.POSITIVE_INFINITY ? [writing()] : [good(server, expected, counts, () => isOver), hostile()],
).flat();
if (tokens === Number.POSITIVE_INFINITY) clients.push(disturbing());
await Promise.all([sampling(), ...clients]);
const health = await watched();
const after = await undisturbed(server);
await stop(server);

const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const tenth = Math.ceil(samples.length / 10);
const growth = QUANTITIES.map(({ key }) => {
  const over = (part) => Math.round(median(part.map((sample) => sample[key])) * 10) / 10;
  const [from, to] = [over(samples.slice(tenth, 2 * tenth)), over(samples.slice(-tenth))];
  return { key, from, to, most: Math.round(Math.max(...samples.map((sample) => sample[key]))) };
});
const grew = growth.filter(({ from, to }) => to > 1.1 * from && to > from + 8);
const differs = JSON.stringify(after) !== JSON.stringify(expected);
console.log(
  JSON.stringify({
    date: new Date().toISOString().slice(0, 10),
    adapter: server.readies[0].adapter,
    minutes: Math.round((performance.now() - begun) / 6000) / 10,
    tokens: generated,
    disturbances,
    losses: server.losses.length,
    ...counts,
    health,
    growth,
    others: server.errors.slice(0, 3),
    grew: grew.map(({ key }) => key),
    differs,
  }),
);
if (values.svg) writeFileSync(values.svg, curves());
process.exitCode = grew.length > 0 || counts.wrong.length > 0 || differs ? 1 : 0;

/** The samples as curves over the tokens generated, or over minutes. */
function curves() {
  const [width, height, left, gap] = [720, 90, 56, 40];
  const x = (sample) => (tokens < Number.POSITIVE_INFINITY ? sample.tokens : sample.seconds / 60);
  const end = x(samples.at(-1));
  const panels = QUANTITIES.map(({ key, title }, i) => {
    const top = i * (height + gap) + 24;
    const most = Math.max(...samples.map((sample) => sample[key])) * 1.1;
    const at = (sample) =>
      `${(left + (x(sample) / end) * (width - left - 8)).toFixed(1)},${(top + height * (1 - sample[key] / most)).toFixed(1)}`;
    return `<text x="${left}" y="${top - 8}" font-weight="600">${title}</text>
<path d="M${left} ${top}v${height}h${width - left - 8}" fill="none" stroke="#999"/>
<text x="${left - 6}" y="${top + 10}" text-anchor="end">${Math.round(most)}</text><text x="${left - 6}" y="${top + height}" text-anchor="end">0</text>
<polyline fill="none" stroke="#0b6bcb" stroke-width="1.5" points="${samples.map(at).join(" ")}"/>`;
  });
  const total = QUANTITIES.length * (height + gap) + 16;
  const unit = tokens < Number.POSITIVE_INFINITY ? "tokens generated" : "minutes";
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${total}" font-family="system-ui, sans-serif" font-size="11" fill="#444" role="img" aria-labelledby="title">
<title id="title">What the server holds over ${values.tokens ? "its tokens" : "its minutes"}</title>
<rect width="${width}" height="${total}" fill="#fff"/>
${panels.join("\n")}
<text x="${width - 8}" y="${total - 6}" text-anchor="end">${Math.round(end).toLocaleString("en")} ${unit}</text>
</svg>
`;
}
